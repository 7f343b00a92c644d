"""medt_evaluate: masks against ground truth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medt_pipeline.commands import _run

if TYPE_CHECKING:
    from medt_pipeline.evaluation.options import EvaluationOptions

PAPER_SIZE, LARGEST_PAPER_SIZE = 128, 4096
_GROUPS_HELP = "patients: a regular expression on the name, or a CSV file with the columns name, group; default: those "
_INSTANCES_HELP = (
    "score objects: auto (where instance maps lie beside the ground truth), components (connected pixels of a class), "
    "none, or a folder of instance maps; default: auto"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a folder of masks; exit status 1 if references were left out with --allow-missing."""
    parser = _run.make_parser(
        "Score a folder of predicted masks against ground truth: pixels (Dice, IoU, precision, recall), outlines\n"
        "(HD95, ASSD, surface Dice) and objects (GlaS contest's scores, AJI, AJI+, DQ, SQ, PQ), per image, mean and\n"
        "pooled, with 95 % intervals over patients. Writes tables and prints them.",
        "medt_evaluate -g test/labels -p predicted_masks",
    )
    parser.add_argument("-g", "--ground-truth", type=Path, required=True, metavar="DIR", help="folder of true masks")
    parser.add_argument("-p", "--predictions", type=Path, required=True, metavar="DIR", help="folder of masks to score")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the scores; default: predictions")
    parser.add_argument(
        "--labels", type=_labels, metavar="NAME=VALUE,…", help="default: those of dataset.json, else the values found"
    )
    parser.add_argument("--allow-missing", action="store_true", help="score even if references lack a prediction")
    _add_scores(parser)
    return _run.run(parser, _evaluate, arguments)


def _add_scores(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--groups", metavar="REGEX|CSV", help=_GROUPS_HELP + "of the data set")
    parser.add_argument("--surface", action=argparse.BooleanOptionalAction, default=True, help="score distances")
    parser.add_argument("--tolerance", default="2px", metavar="LENGTH", help="of the surface Dice, as 2px or 0.5mm")
    parser.add_argument("--pixel-size", metavar="MM[,MM]", help="height and width of a pixel; default: where known")
    parser.add_argument("--instances", default="auto", metavar="auto|components|none|DIR", help=_INSTANCES_HELP)
    parser.add_argument("--predicted-instances", type=Path, metavar="DIR", help="folder of predicted instance maps")
    parser.add_argument(
        "--protocol",
        choices=("ours", "paper"),
        default="ours",
        help="paper: also as the scripts published with MedT score, which flatters",
    )
    parser.add_argument(
        "--paper-size", type=int, default=PAPER_SIZE, metavar="N", help=f"their image size; default: {PAPER_SIZE}"
    )


def _evaluate(options: argparse.Namespace) -> int:
    from medt_pipeline.core.files import make_folder
    from medt_pipeline.evaluation.folder import evaluate_folder
    from medt_pipeline.evaluation.tables import write_scores
    from medt_pipeline.evaluation.text import to_text

    scores = evaluate_folder(
        options.ground_truth, options.predictions, options.labels, options.allow_missing, options=_options(options)
    )
    files = write_scores(scores, make_folder(options.output or options.predictions))
    print(to_text(scores))
    print(f"Written: {', '.join(map(str, files))}")
    return _run.PARTLY if scores.missing else _run.SUCCESS


def _options(options: argparse.Namespace) -> EvaluationOptions:
    from medt_pipeline.core.errors import UserError
    from medt_pipeline.dataset_conversion.groups import declared_groups
    from medt_pipeline.evaluation.label_maps import find_label_maps
    from medt_pipeline.evaluation.options import EvaluationOptions, parse_pixel_size, parse_tolerance

    if not 1 <= options.paper_size <= LARGEST_PAPER_SIZE:
        raise UserError(f"--paper-size must lie between 1 and {LARGEST_PAPER_SIZE}, got {options.paper_size}.")
    groups = None
    if options.groups is not None:
        groups = declared_groups(options.groups, list(find_label_maps(options.ground_truth, "references")))[0]
    known = options.instances in ("auto", "components", "none")
    return EvaluationOptions(
        surface=options.surface,
        tolerance=parse_tolerance(options.tolerance),
        instances=options.instances if known else Path(options.instances),
        predicted_instances=options.predicted_instances,
        groups=groups,
        pixel_size_mm=parse_pixel_size(options.pixel_size) if options.pixel_size else None,
        published_size=options.paper_size if options.protocol == "paper" else None,
    )


def _labels(text: str) -> dict[str, int]:
    labels: dict[str, int] = {}
    for entry in text.split(","):
        name, equals, value = (part.strip() for part in entry.rpartition("="))
        if not (name and equals and value.isdecimal()):
            raise argparse.ArgumentTypeError(f"{entry!r} is not of the form name=value, as in gland=1")
        if name in labels:
            raise argparse.ArgumentTypeError(f"{name!r} is given twice")
        labels[name] = int(value)
    return labels
