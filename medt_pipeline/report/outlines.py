"""Outlines of regions as paths of an SVG picture, which stay sharp at any size."""

from __future__ import annotations

import math

import numpy as np
from skimage.measure import approximate_polygon, find_contours

UNITS = 4
"""Whole numbers in a path count quarters of a pixel of the picture."""
BEYOND = 4
"""Pixels of the picture by which regions at its edge go on: more than a line is wide."""
TOLERANCE = 0.6
"""Pixels of the picture by which a line may leave the outline."""


def outline(region: np.ndarray, scale: float) -> str:
    """Path data of all outlines of a region, holes among them, to be filled by the even-odd rule.

    Args:
        region: (H, W) bool.
        scale: pixels of the picture over pixels of the region.

    Returns:
        Closed lines through the borders of pixels, in units of 1/`UNITS` of a pixel of the picture, that lie outside of
        the picture where the region touches its edge; "" where the region is empty.
    """
    if not region.any():
        return ""
    # The edge of the image is no outline: regions that touch it go on beyond, where a picture shows nothing.
    beyond = math.ceil(BEYOND / scale)
    wide = np.pad(np.pad(region, beyond, mode="edge"), 1).astype(np.float32)
    contours = find_contours(wide, 0.5)
    return "".join(_closed(_simplified((contour - beyond - 0.5) * scale)) for contour in contours)


def _simplified(line: np.ndarray) -> np.ndarray:
    """Fewer points of a closed line of (y, x), at least three different ones."""
    simple = approximate_polygon(line, TOLERANCE)
    return simple if len(simple) > 3 else line


def _closed(line: np.ndarray) -> str:
    """A closed line of (y, x), whose last point is its first, as "M x y l dx dy … z"."""
    points = np.round(line[:-1, ::-1] * UNITS).astype(int)
    steps = np.diff(points, axis=0)
    steps = steps[(steps != 0).any(axis=1)]
    numbers = " ".join(str(number) for number in steps.ravel().tolist())
    return f"M{points[0, 0]} {points[0, 1]}l{numbers}z".replace(" -", "-") if len(steps) else ""
