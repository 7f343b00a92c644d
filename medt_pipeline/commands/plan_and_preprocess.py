"""medt_plan_and_preprocess: from a raw data set to plans, folds and preprocessed arrays."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from medt_pipeline.commands._run import PARTLY, SUCCESS, add_cluster_option, make_parser, run
from medt_pipeline.core.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Look at a data set, decide how to train on it, divide it into folds and preprocess it.",
        "medt_plan_and_preprocess -d 101",
    )
    parser.add_argument("-d", "--dataset", type=int, nargs="+", required=True, metavar="ID", help="ids of data sets")
    parser.add_argument("-p", "--preset", default="default", help="preset of the planner (default: %(default)s)")
    parser.add_argument(
        "--memory", type=_gigabytes, metavar="GB", help="memory for training, e.g. 8GB; default: by the device"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="what training will run on"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse (exit status 2) where a case cannot be used, instead of leaving it out (exit status 1)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="decide something yourself, e.g. patch_size=256,384; may be given several times",
    )
    parser.add_argument(
        "--keep-plans",
        action="store_true",
        help="keep the plans, edited by hand; check them, derive what depends on the edits and preprocess again",
    )
    add_cluster_option(parser, "measure and preprocess the cases")
    return run(parser, _plan, arguments)


def _gigabytes(text: str) -> float:
    try:
        value = float(text.upper().removesuffix("GB").removesuffix("G"))
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected an amount such as 8GB, got {text!r}")
    return value


def _plan(options: argparse.Namespace) -> int:
    from medt_pipeline.core.workspace import Workspace
    from medt_pipeline.planning.cost_model import cost_sentences, measure_throughput
    from medt_pipeline.planning.overrides import parse_overrides
    from medt_pipeline.planning.run import plan_and_preprocess, preprocess_planned
    from medt_pipeline.training.device import choose_device, device_kind, device_memory_gb

    if options.keep_plans and (options.set or options.memory or options.preset != "default"):
        raise UserError("--keep-plans plans nothing, so --set, --memory and --preset have no place beside it.")
    overrides = parse_overrides(options.set)
    workspace = Workspace.locate(options.workspace).activate()
    device = choose_device(options.device)
    kind = device_kind(device)
    status = SUCCESS
    for dataset_id in options.dataset:
        if options.keep_plans:
            kept = preprocess_planned(dataset_id, workspace, on=options.on)
            print(f"Kept and checked: {kept}\nNext: medt_train {dataset_id} fold0")
            continue
        summary = plan_and_preprocess(
            dataset_id,
            workspace,
            kind,
            options.memory,
            options.preset,
            strict=options.strict,
            overrides=overrides,
            device_gb=device_memory_gb(device),
            on=options.on,
            throughput=measure_throughput(device),
        )
        print(f"\n{summary.dataset_name}, planned for training on a {kind.upper()}:")
        for decision in summary.decisions:
            print(f"  {decision.name:28}{decision.reason}")
        print("What it will take, estimated:")
        for sentence in cost_sentences(summary.costs):
            print(f"  {sentence}")
        for note in summary.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"Plans and their reasons: {summary.plans_file}\nNext: medt_train {dataset_id} fold0")
        if summary.left_out:
            status = PARTLY
    return status
