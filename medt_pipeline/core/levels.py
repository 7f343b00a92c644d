"""An image as gray levels of 8 bits, whatever it was stored as: what most facts are measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medt_pipeline.core.errors import UserError

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Depths that detectors and scanners deliver."""


@dataclass(frozen=True)
class Levels:
    """One image on the scale of its own values.

    Attributes:
        picture: (C, H, W) uint8; 0 is `low`, 255 is `high`.
        gray: (H, W) uint8, the mean of the channels.
        bit_depth: smallest of `BIT_DEPTHS` that holds all values; None where they are not whole numbers of 0 to 65535.
        low: lowest value of the scale: 0 for whole numbers and for values of 0 to 1, else the smallest that occurs.
        high: highest value of the scale, e.g. 4095 for 12 bits; 1 for values of 0 to 1, else the largest that occurs.
    """

    picture: np.ndarray
    gray: np.ndarray
    bit_depth: int | None
    low: float
    high: float


def to_levels(image: np.ndarray) -> Levels:
    """Bring `image`, (C, H, W) of any real dtype, to 8 bits.

    Raises:
        UserError: it has no pixels, or values that are no numbers (NaN, infinite).
    """
    if not image.size:
        raise UserError(f"the image has no pixels (shape {image.shape})")
    lowest, highest = float(image.min()), float(image.max())
    # NaN survives min and max, and so do infinite values.
    if not np.isfinite([lowest, highest]).all():
        number = int((~np.isfinite(image)).sum())
        raise UserError(f"the image holds {number} values that are no numbers (NaN or infinite)")
    depth = _bit_depth(image, lowest, highest)
    low, high = _scale(depth, lowest, highest)
    picture = _to_bytes(image, low, high)
    return Levels(picture, _mean_channel(picture), depth, low, high)


def block_means(picture: np.ndarray, side: int, whole: bool = False) -> np.ndarray:
    """Means of `picture`, (H, W) bool or unsigned, over square blocks, as (⌈H / side⌉, ⌈W / side⌉) float.

    Blocks at the lower and right border are smaller where `side` does not divide H or W; left out if `whole`.
    """
    height, width = picture.shape
    if whole:
        height, width = height // side * side, width // side * side
        picture = picture[:height, :width]
    sums = _sum_lines(_sum_lines(picture, side).T, side).T
    rows, columns = (np.minimum(side, size - np.arange(0, size, side)) for size in (height, width))
    return sums / (rows[:, None] * columns)


def _sum_lines(picture: np.ndarray, side: int) -> np.ndarray:
    """Sums over every `side` lines of the first axis, the last sum perhaps of fewer."""
    sums = picture[::side].astype(np.uint32)
    for offset in range(1, side):
        lines = picture[offset::side]
        sums[: len(lines)] += lines
    return sums


def _bit_depth(image: np.ndarray, lowest: float, highest: float) -> int | None:
    if lowest < 0 or highest > 65535 or not (image.astype(np.uint16) == image).all():
        return None
    return next(depth for depth in BIT_DEPTHS if highest < 2**depth)


def _scale(depth: int | None, lowest: float, highest: float) -> tuple[float, float]:
    if depth is not None:
        return 0.0, float(2**depth - 1)
    if lowest >= 0 and highest <= 1:
        return 0.0, 1.0
    return lowest, highest


def _to_bytes(image: np.ndarray, low: float, high: float) -> np.ndarray:
    if (low, high) == (0.0, 255.0):
        # Readers hand over views with channels last, on which every reduction below takes several times as long.
        return image.astype(np.uint8, order="C")
    if high == low:
        return np.zeros(image.shape, np.uint8)
    scaled = (image.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(scaled).clip(0, 255).astype(np.uint8, order="C")


def _mean_channel(picture: np.ndarray) -> np.ndarray:
    if len(picture) == 1:
        return picture[0]
    return (picture.sum(0, dtype=np.uint16) // len(picture)).astype(np.uint8)
