"""Scores with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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


def mean_of(values: Sequence[float], groups: Sequence[str]) -> Estimate:
    """Mean over the images of which a score is defined, with its interval over groups.

    Args:
        values: a score for each image, NaN where it is undefined.
        groups: the group of each image.
    """
    column = np.array(values, dtype=float)
    defined = column[~np.isnan(column)]
    if not defined.size:
        return Estimate(math.nan)
    low, high = interval(resampled_means(column[:, None], groups)[:, 0])
    return Estimate(float(defined.mean()), float(low), float(high))


def mean_of_classes(values: Mapping[str, Sequence[float]], groups: Sequence[str]) -> Estimate:
    """Mean over classes of their means over images, with its interval over groups; classes without a score do not count.

    Args:
        values: for each class a score for each image, NaN where it is undefined.
        groups: the group of each image.
    """
    columns = np.array([*values.values()], dtype=float).T
    scored = columns[:, ~np.isnan(columns).all(axis=0)]
    if not scored.size:
        return Estimate(math.nan)
    resampled = resampled_means(scored, groups)
    # A resample without a rare class has no mean over the classes, rather than one over the others.
    low, high = interval(resampled.mean(axis=1))
    return Estimate(float(np.nanmean(scored, axis=0).mean()), float(low), float(high))


def number_of(value: float | None) -> float:
    """A number from JSON, where null is NaN."""
    return math.nan if value is None else float(value)
