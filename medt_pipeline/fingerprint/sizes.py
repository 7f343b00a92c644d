"""Size, channels, use of the gray scale, and borders without content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medt_pipeline.core.levels import Levels

COLOUR_TOLERANCE = 16
"""Levels of 255 by which channels of a gray pixel may differ: what JPEG makes of equal channels."""

MOST_COLOURED = 0.05
"""Share of coloured pixels up to which an RGB image is gray with markers."""

BORDER_TOLERANCE = 3
"""Levels of 255 by which a row without content may vary."""


@dataclass(frozen=True)
class SizeFacts:
    """How an image is stored.

    Attributes:
        height_px: rows.
        width_px: columns.
        aspect: width over height.
        channels: 1 for gray.
        coloured_share: share of the pixels whose channels differ by more than `COLOUR_TOLERANCE`, 0 to 1; None unless
            there are three channels.
        is_gray: one channel, or three of which at most `MOST_COLOURED` of the pixels are coloured.
        bit_depth: 8, 10, 12, 14 or 16, the smallest that holds all values; None for other than whole numbers.
        is_constant: all pixels are the same; then there are no borders.
        saturated_low_share: share of the values at the lower end of the scale (`Levels.low`), 0 to 1.
        saturated_high_share: the same at the upper end.
        border_top_px: rows without content at the top: one colour, the same for all of them; 0 where none.
        border_bottom_px: the same at the bottom.
        border_left_px: columns at the left.
        border_right_px: columns at the right.
        border_level: mean level of the borders, 0 (black) to 1 (white); None without borders.
        content_share: area of the image within the borders over its area.
    """

    height_px: int
    width_px: int
    aspect: float
    channels: int
    coloured_share: float | None
    is_gray: bool
    bit_depth: int | None
    is_constant: bool
    saturated_low_share: float
    saturated_high_share: float
    border_top_px: int
    border_bottom_px: int
    border_left_px: int
    border_right_px: int
    border_level: float | None
    content_share: float


def measure_size(image: np.ndarray, levels: Levels) -> SizeFacts:
    """Facts about `image`, (C, H, W), and the same as `levels`."""
    channels, height, width = image.shape
    coloured = coloured_share(levels.picture)
    top, bottom, left, right = borders(levels.picture)
    inner = (height - top - bottom) * (width - left - right)
    constant = bool((levels.picture == levels.picture[:, :1, :1]).all())
    return SizeFacts(
        height,
        width,
        width / height,
        channels,
        coloured,
        channels == 1 or (coloured is not None and coloured <= MOST_COLOURED),
        levels.bit_depth,
        constant,
        np.count_nonzero(image == levels.low) / image.size,
        np.count_nonzero(image == levels.high) / image.size,
        top,
        bottom,
        left,
        right,
        _border_level(levels.gray, top, bottom, left, right),
        inner / (height * width),
    )


def coloured_mask(picture: np.ndarray, tolerance: int = COLOUR_TOLERANCE) -> np.ndarray:
    """(H, W) bool: pixels of `picture`, (3, H, W) uint8, whose channels differ by more than `tolerance` levels."""
    red, green, blue = picture
    highest = np.maximum(np.maximum(red, green), blue)
    return highest - np.minimum(np.minimum(red, green), blue) > tolerance


def coloured_share(picture: np.ndarray) -> float | None:
    """Share of coloured pixels in `picture`, (C, H, W) uint8; None unless C is 3."""
    return float(coloured_mask(picture).mean()) if len(picture) == 3 else None


def borders(picture: np.ndarray) -> tuple[int, int, int, int]:
    """Rows and columns without content at the top, bottom, left and right of `picture`, (C, H, W) uint8.

    A row has no content if each channel is constant and the same as in the outermost row, up to `BORDER_TOLERANCE`.
    Columns are looked at between the rows that remain. A constant picture has none, because it has no content either.
    """
    lowest, highest = picture.min(2), picture.max(2)
    top = _outer_run(lowest, highest)
    if top == picture.shape[1]:
        return 0, 0, 0, 0
    bottom = _outer_run(lowest[:, ::-1], highest[:, ::-1])
    inner = picture[:, top : picture.shape[1] - bottom]
    lowest, highest = inner.min(1), inner.max(1)
    left, right = _outer_run(lowest, highest), _outer_run(lowest[:, ::-1], highest[:, ::-1])
    return top, bottom, left, right


def _outer_run(lowest: np.ndarray, highest: np.ndarray) -> int:
    """Lines from the first on that stay within the tolerance of it; both are (C, lines) uint8."""
    reach = np.maximum.accumulate(highest, axis=1).astype(int) - np.minimum.accumulate(lowest, axis=1)
    return int((reach.max(0) <= BORDER_TOLERANCE).sum())


def _border_level(gray: np.ndarray, top: int, bottom: int, left: int, right: int) -> float | None:
    if not top + bottom + left + right:
        return None
    border = np.ones(gray.shape, bool)
    border[top : gray.shape[0] - bottom, left : gray.shape[1] - right] = False
    return float(gray[border].mean() / 255)
