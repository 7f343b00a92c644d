"""Scores with intervals as JSON, the same in recipes and in model files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medt_pipeline.evaluation.selection import mean_of_classes
from medt_pipeline.evaluation.statistics import Interval, interval, resampled_means


def with_intervals(by_class: Mapping[str, np.ndarray], groups: Sequence[str]) -> dict[str, Any]:
    """Mean Dice and IoU over images with intervals, of all classes together and of each.

    Args:
        by_class: (images, 2) Dice and IoU; NaN where undefined.
        groups: patient of each image.
    """
    together = mean_of_classes(np.stack(list(by_class.values()), axis=-1))
    return {
        **{f"mean_{name}": _mean_record(together[:, i], groups) for i, name in enumerate(("dice", "iou"))},
        "by_class": {
            label: {name: _mean_record(values[:, i], groups) for i, name in enumerate(("dice", "iou"))}
            for label, values in by_class.items()
        },
        "images": len(groups),
        "groups": len(set(groups)),
    }


def interval_record(value: float, around: Interval) -> dict[str, float | None]:
    """A number with the ends of its interval."""
    return {"value": plain_number(value), "low": plain_number(around.low), "high": plain_number(around.high)}


def plain_number(number: float) -> float | None:
    """Six decimals; None for NaN, which JSON does not have."""
    return None if np.isnan(number) else round(float(number), 6)


def _mean_record(values: np.ndarray, groups: Sequence[str]) -> dict[str, float | None]:
    resampled = resampled_means(values[:, None], groups)[:, 0]
    return interval_record(float(mean_of_classes(values)), interval(resampled))
