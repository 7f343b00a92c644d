"""Scores as data frames, CSV and JSON."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from medt_pipeline import __version__
from medt_pipeline.core.files import write_json, write_text
from medt_pipeline.core.spreadsheets import to_csv
from medt_pipeline.evaluation.folder import FolderScores
from medt_pipeline.evaluation.metrics import EMPTY_CONVENTION
from medt_pipeline.evaluation.published_protocol import published_f1, published_iou
from medt_pipeline.evaluation.scores import Scores
from medt_pipeline.evaluation.statistics import LEVEL, RESAMPLES, SEED, Interval
from medt_pipeline.evaluation.summary import ClassScores

SCORES_TABLE, SUMMARY_TABLE, EVERYTHING = "medt_scores.csv", "medt_scores_summary.csv", "medt_scores.json"
MEAN_OF_CLASSES = "mean of classes"
_CASE_COLUMNS = {"both": "both", "neither": "neither", "false alarm": "false_alarms", "miss": "misses"}


def to_frame(scores: FolderScores) -> pd.DataFrame:
    """One row an image and class.

    Columns: image, group, label, value, case, the scores that were asked for, counts of pixels and, where objects were
    scored, of objects; f1 and iou by the published protocol where it was asked for; the unit of distances.
    """
    rows = []
    for row in scores.images:
        entry: dict[str, Any] = {
            "image": row.image,
            "group": row.group,
            "label": row.label,
            "value": scores.labels.foreground[row.label],
            "case": row.case,
            **_chosen(row.scores, scores),
            **row.counts._asdict(),
        }
        if row.objects is not None:
            entry |= {name: row.objects._asdict()[name] for name in ("reference_objects", "predicted_objects", "found")}
        if row.published is not None:
            entry |= {"published_f1": published_f1(row.published), "published_iou": published_iou(row.published)}
        rows.append(entry | {"distance_unit": scores.setting.unit})
    return pd.DataFrame(rows)


def to_summary_frame(scores: FolderScores) -> pd.DataFrame:
    """One row a class, score, and way of summing up (mean or pooled), with its interval and the images behind it.

    Columns: label, way, score, value, low, high, images (with a defined score), groups, then the number of images of
    each case, and the unit of distances. Rows of the mean over classes have no images and cases.
    """
    rows: list[dict[str, Any]] = []
    for one in scores.classes:
        cases = {_CASE_COLUMNS[case]: number for case, number in one.cases.items()}
        everything = sum(one.cases.values())
        for name in scores.setting.scores:
            images = int(getattr(one.images, name))
            rows.append(_summary_row(one.label, "mean", name, one.mean, one.mean_interval) | {"images": images} | cases)
            pooled = _summary_row(one.label, "pooled", name, one.pooled, one.pooled_interval)
            rows.append(pooled | {"images": everything} | cases)
    if len(scores.classes) > 1:
        over = scores.over_classes
        for name in scores.setting.scores:
            rows.append(_summary_row(MEAN_OF_CLASSES, "mean", name, over.mean, over.mean_interval))
            rows.append(_summary_row(MEAN_OF_CLASSES, "pooled", name, over.pooled, over.pooled_interval))
    frame = pd.DataFrame(rows).assign(groups=scores.setting.groups, distance_unit=scores.setting.unit)
    counts = ["images", *_CASE_COLUMNS.values()]
    frame[counts] = frame[counts].astype("Int64")
    return frame[["label", "way", "score", "value", "low", "high", "groups", *counts, "distance_unit"]]


def to_json(scores: FolderScores) -> dict[str, Any]:
    """Everything, with the conventions' names and all counts; an undefined score is null."""
    setting, over = scores.setting, scores.over_classes
    return {
        "medt_pipeline": __version__,
        "convention": EMPTY_CONVENTION,
        "reference": str(scores.reference),
        "predictions": str(scores.predictions),
        "labels": scores.labels.foreground,
        "ignore": scores.labels.ignore,
        "labels_from": scores.labels.source,
        "distance_unit": setting.unit,
        "surface_dice_tolerance": str(setting.tolerance),
        "objects": setting.objects,
        "objects_left_out": setting.without_objects or None,
        "groups": setting.groups,
        "groups_from": setting.groups_from,
        "intervals": {"level": LEVEL, "method": "bootstrap over groups", "resamples": RESAMPLES, "seed": SEED},
        "images_scored": len(scores.image_names),
        "references_without_prediction": list(scores.missing),
        "predictions_without_reference": list(scores.without_reference),
        "mean_over_classes": {
            "mean": _defined(_chosen(over.mean, scores)),
            "mean_interval": _intervals(over.mean_interval, scores),
            "pooled": _defined(_chosen(over.pooled, scores)),
            "pooled_interval": _intervals(over.pooled_interval, scores),
        },
        "classes": {one.label: _class_to_json(one, scores) for one in scores.classes},
        "images": [_without_nan(row) for row in to_frame(scores).drop(columns="distance_unit").to_dict("records")],
    }


def write_scores(scores: FolderScores, folder: Path) -> tuple[Path, Path, Path]:
    """Write the table of images, the summary and the JSON into `folder`, each atomically; returns the three paths."""
    table, summary, everything = (folder / name for name in (SCORES_TABLE, SUMMARY_TABLE, EVERYTHING))
    write_text(table, to_csv(to_frame(scores)))
    write_text(summary, to_csv(to_summary_frame(scores)))
    write_json(everything, to_json(scores))
    return table, summary, everything


def _chosen(values: Scores, scores: FolderScores) -> dict[str, float]:
    return {name: getattr(values, name) for name in scores.setting.scores}


def _summary_row(label: str, way: str, name: str, values: Scores, interval: Interval) -> dict[str, Any]:
    low, high = (getattr(end, name) for end in interval)
    return {"label": label, "way": way, "score": name, "value": getattr(values, name), "low": low, "high": high}


def _class_to_json(one: ClassScores, scores: FolderScores) -> dict[str, Any]:
    content = {
        "value": one.value,
        "mean": _defined(_chosen(one.mean, scores)),
        "mean_interval": _intervals(one.mean_interval, scores),
        "images_in_mean": {name: int(images) for name, images in _chosen(one.images, scores).items()},
        "pooled": _defined(_chosen(one.pooled, scores)),
        "pooled_interval": _intervals(one.pooled_interval, scores),
        "images_by_case": dict(one.cases),
        "counts": one.counts._asdict(),
    }
    if one.published is not None:
        content["published_protocol"] = {
            "size": scores.setting.published_size,
            "f1": one.published.f1,
            "iou": one.published.iou,
            "f1_by_our_rule": _or_none(one.published.f1_by_our_rule),
            "images": one.published.images,
            "images_without_true_positive_that_count_1": dict(one.published.without_hit),
        }
    return content


def _intervals(interval: Interval, scores: FolderScores) -> dict[str, list[float] | None]:
    ends = {name: [getattr(end, name) for end in interval] for name in scores.setting.scores}
    return {name: None if any(map(math.isnan, both)) else both for name, both in ends.items()}


def _defined(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in values.items()}


def _without_nan(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): _or_none(value) if isinstance(value, float) else value for name, value in row.items()}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
