"""Regions of a picture at another scale, of which every pixel is the same whichever region is asked for.

Pillow, which is faster, takes the corner of a region in single precision, so that up to a fifth of the pixels of a
region would be one level off those of the whole.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

ROWS_AT_ONCE = 256
"""Of the result: what is computed meanwhile takes four times the bytes."""


def reach_of(step: float) -> int:
    """Pixels of the source that a pixel of the result looks at on each side of its middle, and one more."""
    return math.ceil(max(step, 1.0)) + 1


def resample(
    source: np.ndarray,
    origin: tuple[int, int],
    size: tuple[int, int],
    step: tuple[float, float],
    corner: tuple[int, int],
    shape: tuple[int, int],
) -> np.ndarray:
    """Rows and columns of a picture at another scale: the mean under a triangle as wide as two pixels of the result.

    Where the result is larger than the source, that is linear interpolation.

    Args:
        source: (h, w, channels) uint8, a part of the picture: `reach_of(step)` more on each side than the region.
        origin: row and column of the picture at which it begins.
        size: (height, width) of the picture.
        step: pixels of the picture down and across for one of the result.
        corner: first row and column of the region, in pixels of the result.
        shape: (height, width) of the region.

    Returns:
        (height, width, channels) uint8.
    """
    down = _weights(corner[0], shape[0], step[0], size[0], origin[0], source.shape[0])
    across = _weights(corner[1], shape[1], step[1], size[1], origin[1], source.shape[1])
    channels = source.shape[2]
    result = np.empty((*shape, channels), np.uint8)
    for top in range(0, shape[0], ROWS_AT_ONCE):
        rows = down[top : top + ROWS_AT_ONCE]
        first, last = int(rows.indices.min()), int(rows.indices.max()) + 1
        band = source[first:last].reshape(last - first, -1).astype(np.float32)
        columns = (rows[:, first:last] @ band).reshape(rows.shape[0], -1, channels).transpose(1, 0, 2)
        mixed = across @ columns.reshape(len(columns), -1)
        result[top : top + ROWS_AT_ONCE] = np.rint(mixed).reshape(shape[1], -1, channels).transpose(1, 0, 2)
    return result


def _weights(first: int, count: int, step: float, length: int, origin: int, there: int) -> sparse.csr_matrix:
    """(count, there): weight of every pixel of the source in the result's pixels from `first` on.

    They follow from places on the whole picture, so that no rounding depends on the region.
    """
    reach = max(step, 1.0)
    middle = (np.arange(first, first + count) + 0.5) * step
    index = np.floor(middle - reach).astype(int)[:, None] + np.arange(2 * math.ceil(reach) + 2)
    weights = np.clip(1 - np.abs(index + 0.5 - middle[:, None]) / reach, 0, None)
    weights[(index < 0) | (index >= length)] = 0
    weights /= weights.sum(1, keepdims=True)
    row = np.repeat(np.arange(count), index.shape[1])
    used = weights.ravel() > 0
    place = (row[used], index.ravel()[used] - origin)
    return sparse.csr_matrix((weights.ravel()[used].astype(np.float32), place), (count, there))
