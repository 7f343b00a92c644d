"""Scores with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medt_pipeline.evaluation.selection import mean_of_classes
from medt_pipeline.evaluation.statistics import interval, resampled_means


@dataclass(frozen=True)
class Estimate:
    """A score, 0 to 1, and its 95 % interval; NaN where nothing is defined."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Estimate:
        """From {"value", "low", "high"}, where null is NaN."""
        return cls(*(number_of(content[key]) for key in ("value", "low", "high")))


def mean_over_images(values: Sequence[float], groups: Sequence[str]) -> Estimate:
    """Mean over the images of which a score is defined, with its interval over groups, as medt_find_best takes it.

    Args:
        values: a score for each image, NaN where it is undefined.
        groups: the group of each image.
    """
    column = np.array(values, dtype=float)
    low, high = interval(resampled_means(column[:, None], groups)[:, 0])
    return Estimate(float(mean_of_classes(column)), float(low), float(high))


def number_of(value: float | None) -> float:
    """A number from JSON, where null is NaN."""
    return math.nan if value is None else float(value)
