"""All scores side by side: their names, their order, and how they come from sums over one image or over many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from medt_pipeline.evaluation import object_metrics as objects
from medt_pipeline.evaluation.metrics import Counts, dice, iou, precision, recall
from medt_pipeline.evaluation.object_metrics import ObjectSums
from medt_pipeline.evaluation.surface_metrics import SurfaceSums, average_surface_distance, surface_dice

NAN = float("nan")


class Scores(NamedTuple):
    """Every score; NaN where it is undefined or was not asked for. Arrays where the sums were arrays.

    Distances are in mm or px, whichever the evaluation states; all others lie in [0, 1].
    """

    dice: float = NAN
    iou: float = NAN
    precision: float = NAN
    recall: float = NAN
    hd95: float = NAN
    assd: float = NAN
    surface_dice: float = NAN
    object_f1: float = NAN
    object_dice: float = NAN
    object_hausdorff: float = NAN
    aji: float = NAN
    aji_plus: float = NAN
    detection_quality: float = NAN
    segmentation_quality: float = NAN
    panoptic_quality: float = NAN


PIXEL_SCORES = ("dice", "iou", "precision", "recall")
SURFACE_SCORES = ("hd95", "assd", "surface_dice")
OBJECT_SCORES = Scores._fields[len(PIXEL_SCORES) + len(SURFACE_SCORES) :]
DISTANCES = ("hd95", "assd", "object_hausdorff")
"""Scores that are lengths: less is better."""

TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "hd95": "HD95",
    "assd": "ASSD",
    "surface_dice": "surface Dice",
    "object_f1": "object F1",
    "object_dice": "object Dice",
    "object_hausdorff": "object Hausdorff",
    "aji": "AJI",
    "aji_plus": "AJI+",
    "detection_quality": "DQ",
    "segmentation_quality": "SQ",
    "panoptic_quality": "PQ",
}


def scores_of_sums(
    counts: Counts, surface: SurfaceSums | None = None, objects_: ObjectSums | None = None, hd95: float = NAN
) -> Scores:
    """The scores of one image from its sums, or of many from theirs added up (pooled).

    Args:
        counts: pixels.
        surface: None where distances are not scored.
        objects_: None where objects are not scored.
        hd95: of one image; a percentile cannot be had from sums, so it has no pooled value.
    """
    found = Scores(dice(counts), iou(counts), precision(counts), recall(counts), hd95)
    if surface is not None:
        found = found._replace(assd=average_surface_distance(surface), surface_dice=surface_dice(surface))
    if objects_ is not None:
        found = found._replace(**{name: getattr(objects, name)(objects_) for name in OBJECT_SCORES})
    return found


def mean_scores(scores: Iterable[Scores]) -> Scores:
    """Mean of each score over its defined values; NaN where no value is defined."""
    columns = np.array([*scores], dtype=float).reshape(-1, len(Scores._fields)).T
    defined = [column[~np.isnan(column)] for column in columns]
    return Scores(*(float(values.mean()) if values.size else NAN for values in defined))
