"""Scores as a data frame, as JSON and as text for the screen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from medt_pipeline import __version__
from medt_pipeline.core.files import write_json, write_text
from medt_pipeline.evaluation.folder import ClassScores, FolderScores, list_names
from medt_pipeline.evaluation.metrics import EMPTY_CONVENTION, Case, Scores

_SCORE_TITLES = ("Dice", "IoU", "precision", "recall")
_CASE_TITLES: dict[Case, str] = {
    "both": "in both",
    "neither": "in neither",
    "false alarm": "false alarms",
    "miss": "misses",
}


def to_frame(scores: FolderScores) -> pd.DataFrame:
    """One row an image and class: image, label, value, case, dice, iou, precision, recall, tp, fp, fn, tn."""
    rows = [
        {
            "image": row.image,
            "label": row.label,
            "value": scores.labels.foreground[row.label],
            "case": row.case,
            **row.scores._asdict(),
            **row.counts._asdict(),
        }
        for row in scores.images
    ]
    return pd.DataFrame(rows)


def to_csv(scores: FolderScores) -> str:
    """`to_frame` as CSV; an undefined score is an empty cell, and the column "case" says why."""
    return to_frame(scores).to_csv(index=False, lineterminator="\n")


def to_json(scores: FolderScores) -> dict[str, Any]:
    """Everything, with the convention's name and all counts; an undefined score is null."""
    return {
        "medt_pipeline": __version__,
        "convention": EMPTY_CONVENTION,
        "reference": str(scores.reference),
        "predictions": str(scores.predictions),
        "labels": scores.labels.foreground,
        "ignore": scores.labels.ignore,
        "labels_from": scores.labels.source,
        "images_scored": len(scores.image_names),
        "references_without_prediction": list(scores.missing),
        "predictions_without_reference": list(scores.without_reference),
        "mean_over_classes": {"mean": _defined(scores.mean), "pooled": _defined(scores.pooled)},
        "classes": {one.label: _class_to_json(one) for one in scores.classes},
        "images": [
            {
                "image": row.image,
                "label": row.label,
                "case": row.case,
                **_defined(row.scores),
                **row.counts._asdict(),
            }
            for row in scores.images
        ],
    }


def write_scores(scores: FolderScores, folder: Path) -> tuple[Path, Path]:
    """Write medt_scores.csv and medt_scores.json into `folder`, atomically; returns both paths."""
    table, everything = folder / "medt_scores.csv", folder / "medt_scores.json"
    write_text(table, to_csv(scores))
    write_json(everything, to_json(scores))
    return table, everything


def to_text(scores: FolderScores) -> str:
    """Two short tables with aligned columns, the convention, and what was left out."""
    mean = [["", *_SCORE_TITLES, *_CASE_TITLES.values()]]
    pooled = [["", *_SCORE_TITLES]]
    for one in scores.classes:
        mean.append([one.label, *_score_cells(one.mean), *(str(one.cases[case]) for case in _CASE_TITLES)])
        pooled.append([one.label, *_score_cells(one.pooled)])
    if len(scores.classes) > 1:
        mean.append(["mean of classes", *_score_cells(scores.mean), *([""] * len(_CASE_TITLES))])
        pooled.append(["mean of classes", *_score_cells(scores.pooled)])
    images = f"{len(scores.image_names)} images" if len(scores.image_names) != 1 else "1 image"
    parts = [
        f"Labels from {scores.labels.source}: {scores.labels}.",
        f"Mean over {images}, and images by case:\n{_aligned(mean)}",
        f"Pixels of all images pooled:\n{_aligned(pooled)}",
        "Dice is F1. An image where both are empty is left out of the means; a false alarm and a miss count as Dice 0.",
        "\n".join(_left_out(scores)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _class_to_json(one: ClassScores) -> dict[str, Any]:
    return {
        "value": one.value,
        "mean": _defined(one.mean),
        "pooled": _defined(one.pooled),
        "images_by_case": dict(one.cases),
        "images_in_mean_dice": sum(one.cases.values()) - one.cases["neither"],
        "counts": one.counts._asdict(),
    }


def _defined(scores: Scores) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in scores._asdict().items()}


def _score_cells(scores: Scores) -> list[str]:
    return ["–" if math.isnan(value) else f"{value:.4f}" for value in scores]


def _aligned(table: list[list[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]).rstrip() for row in table
    )


def _left_out(scores: FolderScores) -> list[str]:
    lines = []
    if scores.missing:
        total, names = len(scores.missing) + len(scores.image_names), list_names(scores.missing)
        lines.append(f"References without a prediction, in no score: {len(scores.missing)} of {total} ({names}).")
    if scores.without_reference:
        names = list_names(scores.without_reference)
        lines.append(f"Predictions without a reference, in no score: {len(scores.without_reference)} ({names}).")
    return lines
