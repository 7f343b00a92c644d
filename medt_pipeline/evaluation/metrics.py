"""Overlap of one label in two label maps: pixel counts, and scores from counts.

Empty images: a score whose denominator is zero is NaN, never 0 or 1. Per image and label there are four cases:

| reference | prediction | case          | Dice, IoU | precision | recall  |
|-----------|------------|---------------|-----------|-----------|---------|
| present   | present    | "both"        | defined   | defined   | defined |
| empty     | empty      | "neither"     | NaN       | NaN       | NaN     |
| empty     | present    | "false alarm" | 0         | 0         | NaN     |
| present   | empty      | "miss"        | 0         | NaN       | 0       |

Means over images leave NaN out and state how many images of each case there were. nnU-Net treats Dice and IoU alike.
F1 of the pixels of one image is its Dice, so it has no function of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np

EMPTY_CONVENTION = "zero_denominator_is_nan"
"""Name of the convention above, written into every file of scores."""

Case = Literal["both", "neither", "false alarm", "miss"]


class Counts(NamedTuple):
    """Numbers of pixels: true positive, false positive, false negative, true negative; arrays for several at once."""

    tp: int
    fp: int
    fn: int
    tn: int


def count_pixels(reference: np.ndarray, prediction: np.ndarray, label: int) -> Counts:
    """Compare where two integer label maps of the same shape, (H, W) or any other, hold `label`.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> count_pixels(np.array([[1, 1, 0]]), np.array([[1, 0, 0]]), label=1)
        Counts(tp=1, fp=0, fn=1, tn=1)
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"reference has the shape {reference.shape}, prediction {prediction.shape}")
    in_reference, in_prediction = reference == label, prediction == label
    tp = int(np.count_nonzero(in_reference & in_prediction))
    fp = int(np.count_nonzero(in_prediction)) - tp
    fn = int(np.count_nonzero(in_reference)) - tp
    return Counts(tp, fp, fn, reference.size - tp - fp - fn)


def add_counts(counts: Iterable[Counts]) -> Counts:
    """Sum over images, as if they were one large image; all zero for none."""
    total = Counts(0, 0, 0, 0)
    for one in counts:
        total = Counts(*(a + b for a, b in zip(total, one, strict=True)))
    return total


def dice(counts: Counts) -> float:
    """2 TP / (2 TP + FP + FN), which is F1 of the pixels; NaN if both are empty."""
    return ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """Intersection over union (Jaccard), TP / (TP + FP + FN); NaN if both are empty."""
    return ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> float:
    """TP / (TP + FP), the part of the prediction that is right; NaN if the prediction is empty."""
    return ratio(counts.tp, counts.tp + counts.fp)


def recall(counts: Counts) -> float:
    """TP / (TP + FN), the part of the reference that was found (sensitivity); NaN if the reference is empty."""
    return ratio(counts.tp, counts.tp + counts.fn)


def empty_case(counts: Counts) -> Case:
    """Which row of the module's table these counts fall into."""
    in_reference, in_prediction = counts.tp + counts.fn > 0, counts.tp + counts.fp > 0
    if in_reference:
        return "both" if in_prediction else "miss"
    return "false alarm" if in_prediction else "neither"


def ratio(part: Any, whole: Any) -> Any:
    """`part` / `whole`, NaN where `whole` is 0; both numbers or both arrays of one shape."""
    if np.ndim(whole) == 0:
        return part / whole if whole else float("nan")
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) != 0)
