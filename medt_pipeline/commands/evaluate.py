"""medt_evaluate: masks against ground truth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from medt_pipeline.commands import _run


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a folder of masks; exit status 1 if references were left out with --allow-missing."""
    parser = _run.make_parser(
        "Score a folder of predicted masks against ground truth: Dice, IoU, precision and recall per image and class.\n"
        "Writes medt_scores.csv and medt_scores.json, and prints a table.",
        "medt_evaluate -g test/labels -p predicted_masks",
    )
    parser.add_argument("-g", "--ground-truth", type=Path, required=True, metavar="DIR", help="folder of true masks")
    parser.add_argument("-p", "--predictions", type=Path, required=True, metavar="DIR", help="folder of masks to score")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the scores; default: predictions")
    parser.add_argument(
        "--labels", type=_labels, metavar="NAME=VALUE,…", help="default: those of dataset.json, else the values found"
    )
    parser.add_argument("--allow-missing", action="store_true", help="score even if references lack a prediction")
    return _run.run(parser, _evaluate, arguments)


def _evaluate(options: argparse.Namespace) -> int:
    from medt_pipeline.core.files import make_folder
    from medt_pipeline.evaluation.folder import evaluate_folder
    from medt_pipeline.evaluation.tables import to_text, write_scores

    scores = evaluate_folder(options.ground_truth, options.predictions, options.labels, options.allow_missing)
    table, everything = write_scores(scores, make_folder(options.output or options.predictions))
    print(to_text(scores))
    print(f"Written: {table}, {everything}")
    return _run.PARTLY if scores.missing else _run.SUCCESS


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
