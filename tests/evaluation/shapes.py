"""Drawn masks and instance maps that the tests of scores share: random ones, and every degenerate kind."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SHAPE = (40, 56)


def blobs(seed: int, smoothness: float = 3.0, level: float = 0.02, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Smooth random blobs, (H, W) bool; some touch the border."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    return ndimage.gaussian_filter(noise, smoothness) > level


def drawn(*rectangles: tuple[int, int, int, int], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Rectangles (top, bottom, left, right) numbered 1, 2, …; later ones lie over earlier ones."""
    instances = np.zeros(shape, int)
    for number, (top, bottom, left, right) in enumerate(rectangles, start=1):
        instances[top:bottom, left:right] = number
    return instances


PAIRS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "blobs": (blobs(1), blobs(1) ^ blobs(2, 1.5, 0.12)),
    "other_blobs": (blobs(3), blobs(4)),
    "fine_blobs": (blobs(5, 1.0, 0.2), blobs(5, 1.0, 0.2) & blobs(6, 1.0, -0.3)),
    "noise": (blobs(7, 0.0, 0.5), blobs(8, 0.0, 0.5)),
    "equal": (blobs(9), blobs(9)),
    "shifted": (drawn((5, 20, 5, 20)) > 0, drawn((5, 20, 8, 23)) > 0),
    "ring_and_disc": (drawn((5, 30, 5, 30)) - 2 * drawn((8, 27, 8, 27)) > 0, drawn((15, 20, 15, 20)) > 0),
    "at_the_border": (drawn((0, 10, 0, 56)) > 0, drawn((0, 12, 0, 50)) > 0),
    "one_pixel_each": (drawn((3, 4, 3, 4)) > 0, drawn((30, 31, 50, 51)) > 0),
    "everything": (np.ones(SHAPE, bool), drawn((10, 30, 10, 30)) > 0),
    "line": (drawn((20, 21, 0, 56)) > 0, drawn((0, 40, 7, 8)) > 0),
}
"""Pairs of reference and prediction, (H, W) bool, that are both present."""

EMPTY = np.zeros(SHAPE, bool)
