"""Brightness and contrast of an image as a whole, the grounds on which to choose its normalization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medt_pipeline.core.levels import Levels


@dataclass(frozen=True)
class IntensityFacts:
    """Distribution of the levels of one channel over all pixels, on the scale 0 to 1 of `Levels.low` to `Levels.high`.

    Attributes:
        mean: mean.
        std: standard deviation, 0 to 0.5.
        p01: first percentile.
        median: fiftieth percentile.
        p99: ninety-ninth percentile.
    """

    mean: float
    std: float
    p01: float
    median: float
    p99: float


def measure_intensity(levels: Levels) -> tuple[IntensityFacts, ...]:
    """Facts of every channel."""
    return tuple(_of_channel(channel) for channel in levels.picture)


def _of_channel(channel: np.ndarray) -> IntensityFacts:
    counts = np.bincount(channel.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = float((counts * values).sum() / channel.size)
    variance = float((counts * (values - mean) ** 2).sum() / channel.size)
    cumulated = np.cumsum(counts)
    p01, median, p99 = (float(values[np.searchsorted(cumulated, share * channel.size)]) for share in (0.01, 0.5, 0.99))
    return IntensityFacts(mean, float(np.sqrt(variance)), p01, median, p99)
