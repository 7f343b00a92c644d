"""Facts about one case and their summary over a data set: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_SAMPLED_PIXELS = 10_000
"""Pixels drawn from a case whose intensities are not whole numbers; whole numbers are counted, all of them."""


@dataclass(frozen=True)
class IntensityCounts:
    """How often each intensity occurs among the foreground pixels of one case and channel.

    Attributes:
        values: sorted distinct intensities.
        shares: share of the pixels with each, summing to 1.
    """

    values: np.ndarray
    shares: np.ndarray


def nonzero_box_shape(image: np.ndarray) -> tuple[int, int]:
    """(height, width) of the box around all pixels that are not zero in every channel; `image` is (C, H, W).

    An image that is zero everywhere keeps its size.
    """
    used = (image != 0).any(0)
    if not used.any():
        return image.shape[1], image.shape[2]
    rows, columns = np.flatnonzero(used.any(1)), np.flatnonzero(used.any(0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


def count_intensities(pixels: np.ndarray, rng: np.random.Generator) -> IntensityCounts | None:
    """Count the intensities in `pixels` (any shape); None where there are none.

    Whole numbers below 65536 are all counted; of other values at most `MAX_SAMPLED_PIXELS` are drawn.
    """
    pixels = pixels.ravel()
    if not pixels.size:
        return None
    if pixels.min() >= 0 and pixels.max() < 65536 and ((whole := pixels.astype(np.uint16)) == pixels).all():
        counts = np.bincount(whole)
        values = np.flatnonzero(counts)
        return IntensityCounts(values.astype(float), counts[values] / pixels.size)
    if pixels.size > MAX_SAMPLED_PIXELS:
        pixels = rng.choice(pixels, MAX_SAMPLED_PIXELS, replace=False)
    values, counts = np.unique(pixels.astype(float), return_counts=True)
    return IntensityCounts(values, counts / pixels.size)


def summarise_intensities(cases: Sequence[IntensityCounts]) -> dict[str, float]:
    """nnU-Net's seven intensity properties of one channel, every case with the same weight.

    nnU-Net draws samples with replacement from each case (`DatasetFingerprintExtractor`); the shares are what its
    samples tend to.
    """
    values = np.concatenate([case.values for case in cases])
    weights = np.concatenate([case.shares for case in cases]) / len(cases)
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    cumulated = np.cumsum(weights)
    mean = float((values * weights).sum())

    def percentile(percent: float) -> float:
        # A share that is met exactly must not be missed by the rounding of its sum.
        place = int(np.searchsorted(cumulated, percent / 100 - 1e-9))
        return float(values[min(place, len(values) - 1)])

    return {
        "mean": mean,
        "median": percentile(50),
        "std": float(np.sqrt(((values - mean) ** 2 * weights).sum())),
        "min": float(values[0]),
        "max": float(values[-1]),
        "percentile_99_5": percentile(99.5),
        "percentile_00_5": percentile(0.5),
    }
