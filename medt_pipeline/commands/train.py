"""medt_train: train one fold."""

from __future__ import annotations

import argparse
import functools
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medt_pipeline.commands._run import INTERRUPTED, SUCCESS, USER_MISTAKE, add_cluster_option, make_parser, run
from medt_pipeline.core.errors import UserError

if TYPE_CHECKING:
    import torch

    from medt_pipeline.training.run import FoldResult, Start

_UNITS = {"s": 1, "m": 60, "h": 3600}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Train one fold of a planned data set, or all of them, and score the held-out cases. Ctrl-C saves; the same\n"
        "command with --resume goes on (with cv, the same command).",
        "medt_train 101 fold0 --time-budget 30m\n  medt_train 101 cv -c 2d 2d_unet",
    )
    parser.add_argument("dataset", type=int, metavar="ID", help="id of the data set")
    parser.add_argument(
        "fold",
        metavar="FOLD",
        help="fold0, fold1, … (or 0, 1, …); cv: what is not yet trained of all folds; or all: train on all cases",
    )
    parser.add_argument(
        "-c",
        "--configuration",
        nargs="+",
        default=["2d"],
        metavar="NAME",
        help="configuration in the plans, several with cv (default: 2d)",
    )
    parser.add_argument(
        "--architecture",
        metavar="NAME",
        help="another network: MedT (as published), LoGo, GatedAxialUNet, AxialUNet, UNet",
    )
    parser.add_argument("--epochs", type=_positive, metavar="N", help="instead of the plan's number of epochs")
    parser.add_argument(
        "--time-budget",
        type=_seconds,
        metavar="TIME",
        help="train this long, e.g. 30m; the schedule ends with it",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on with an interrupted training")
    existing.add_argument(
        "--continue", action="store_true", dest="go_on", help="begin, go on, or do nothing where it is trained already"
    )
    existing.add_argument("--restart", action="store_true", help="delete what was trained of this fold and start anew")
    parser.add_argument("--seed", type=int, default=12345, help="of initialisation and augmentation")
    parser.add_argument("--save-probabilities", action="store_true", help="keep probabilities of the held-out cases")
    parser.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="with cv: trainings at once (default: 1)"
    )
    add_cluster_option(parser, "with cv: train")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: %(default)s")
    parser.add_argument(
        "--devices",
        metavar="LIST",
        help="train on several devices at once: numbers of CUDA devices, such as 0,1, or cpu,cpu to try it",
    )
    given = sys.argv[1:] if arguments is None else list(arguments)
    return run(parser, functools.partial(_start, given), arguments)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip().lower())
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 30m or 2h, got {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def _start(arguments: Sequence[str], options: argparse.Namespace) -> int:
    """Train here, alone or as one of a group; with --devices start the group and wait for it."""
    from medt_pipeline.training.device import choose_device
    from medt_pipeline.training.group import is_member, joined
    from medt_pipeline.training.launch import launch, parse_devices

    _require_fitting(options, options.fold.lower() == "cv")
    kind = options.device
    if options.devices is not None:
        devices = parse_devices(options.devices)
        if not is_member():
            return launch("medt_pipeline.commands.train", arguments, devices)
        kind = "cpu" if devices[0] == "cpu" else "cuda"
    if is_member() and options.jobs > 1:
        raise UserError("torchrun trains one fold on all devices, so --jobs has no place beside it.")
    with joined(choose_device(kind, elsewhere=options.on is not None)) as device:
        return _train(options, device)


def _train(options: argparse.Namespace, device: torch.device) -> int:
    from medt_pipeline.core.workspace import Workspace
    from medt_pipeline.training.cross_validation import cross_validate
    from medt_pipeline.training.group import Group
    from medt_pipeline.training.run import TrainingOptions, parse_fold, planned_configuration, train_fold

    is_first = Group().is_first
    tell = _tell if is_first else _keep_quiet
    cross_validation = options.fold.lower() == "cv"
    try:
        workspace = Workspace.locate(options.workspace).activate()
        names = options.configuration
        if options.architecture is not None:
            names = [planned_configuration(workspace, options.dataset, one, options.architecture) for one in names]
        settings = TrainingOptions(options.epochs, options.time_budget, options.seed, options.save_probabilities)
        if cross_validation:
            folds = cross_validate(
                options.dataset, workspace, device, names, settings, options.jobs, report=tell, on=options.on
            )
            tell(f"{folds.to_text()}\nWritten to {folds.file}\nNext: medt_find_best {options.dataset}")
            return SUCCESS
        start: Start = next((key for key, wanted in _starts(options).items() if wanted), "new")
        fold = parse_fold(options.fold)
        tell(_summary(train_fold(options.dataset, fold, workspace, device, names[0], settings, start), options))
        return SUCCESS
    except KeyboardInterrupt:
        if not is_first:
            return INTERRUPTED
        again = "" if cross_validation else " and --resume"
        print(f"\nInterrupted; go on with the same command{again}.", file=sys.stderr)
        raise
    except UserError:
        if not is_first:
            return USER_MISTAKE  # which the first process tells
        raise


def _summary(result: FoldResult, options: argparse.Namespace) -> str:
    if result.scores is None:
        text = "Trained on all cases: none was held out, so there is no score of this model."
    else:
        mean, images = result.scores["mean_over_classes"]["mean"], result.scores["images_scored"]
        of = f"{result.folder.name.replace('_', ' ')} ({images} images)"
        text = f"Held-out cases of {of}: Dice {mean['dice']:.3f}, IoU {mean['iou']:.3f}"
    return (
        f"{text}\nModel, curves and scores: {result.folder}\nNext: medt_predict -d {options.dataset} -i IMAGES -o MASKS"
    )


def _require_fitting(options: argparse.Namespace, cross_validation: bool) -> None:
    if cross_validation and any(_starts(options).values()):
        raise UserError("cv goes on by itself, so --resume, --continue and --restart have no place beside it.")
    if not cross_validation and (len(options.configuration) > 1 or options.jobs > 1):
        raise UserError("Several configurations and --jobs need cv in place of the fold.")
    if options.on is not None and not cross_validation:
        raise UserError("--on trains all folds on a cluster, so it needs cv in place of the fold.")
    if options.on is not None and options.devices is not None:
        raise UserError("--on has the cluster choose devices, so --devices has no place beside it.")
    if options.devices is not None and options.jobs > 1:
        raise UserError("--devices trains one fold on all devices, so --jobs has no place beside it.")
    if options.devices is not None and options.device != "auto":
        raise UserError("--devices names the devices, so --device has no place beside it.")


def _starts(options: argparse.Namespace) -> dict[Start, bool]:
    return {"resume": options.resume, "continue": options.go_on, "restart": options.restart}


def _tell(line: str) -> None:
    print(line, flush=True)


def _keep_quiet(line: str) -> None:
    """For those that stand behind the first of a group."""


if __name__ == "__main__":
    sys.exit(main())
