"""medt_train: train one fold."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from medt_pipeline.commands._run import SUCCESS, make_parser, run

_UNITS = {"s": 1, "m": 60, "h": 3600}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Train one fold of a planned data set and score its held-out cases. Ctrl-C saves; --resume goes on.",
        "medt_train 101 fold0 --time-budget 30m",
    )
    parser.add_argument("dataset", type=int, metavar="ID", help="id of the data set")
    parser.add_argument("fold", metavar="FOLD", help="fold0, fold1, … (or 0, 1, …), or all: train on all cases")
    parser.add_argument("-c", "--configuration", default="2d", help="configuration in the plans (default: %(default)s)")
    parser.add_argument(
        "--architecture", default="MedT", metavar="NAME", help="MedT (default), LoGo, GatedAxialUNet, AxialUNet, UNet"
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
    existing.add_argument("--restart", action="store_true", help="delete what was trained of this fold and start anew")
    parser.add_argument("--seed", type=int, default=12345, help="of initialisation and augmentation")
    parser.add_argument("--save-probabilities", action="store_true", help="keep probabilities of the held-out cases")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: %(default)s")
    return run(parser, _train, arguments)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip().lower())
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 30m or 2h, got {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def _train(options: argparse.Namespace) -> int:
    from medt_pipeline.core.workspace import Workspace
    from medt_pipeline.planning.architectures import configuration_name
    from medt_pipeline.training.device import choose_device
    from medt_pipeline.training.run import Start, TrainingOptions, parse_fold, train_fold

    fold = parse_fold(options.fold)
    workspace = Workspace.locate(options.workspace).activate()
    start: Start = "resume" if options.resume else "restart" if options.restart else "new"
    try:
        result = train_fold(
            options.dataset,
            fold,
            workspace,
            choose_device(options.device),
            configuration_name(options.configuration, options.architecture),
            TrainingOptions(options.epochs, options.time_budget, options.seed, options.save_probabilities),
            start,
        )
    except KeyboardInterrupt:
        print("\nInterrupted; go on with the same command and --resume.", file=sys.stderr)
        raise
    if result.scores is None:
        print("Trained on all cases: none was held out, so there is no score of this model.")
    else:
        mean, images = result.scores["mean_over_classes"]["mean"], result.scores["images_scored"]
        print(f"Held-out cases of fold {fold} ({images} images): Dice {mean['dice']:.3f}, IoU {mean['iou']:.3f}")
    print(f"Model, curves and scores: {result.folder}\nNext: medt_predict -d {options.dataset} -i IMAGES -o MASKS")
    return SUCCESS
