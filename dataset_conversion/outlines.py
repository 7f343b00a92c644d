"""From the drawn outline of an ellipse to the area inside: exact where it is closed, fitted where it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

CLOSED_SHARE = 0.95
"""A closed outline encloses at least this share of its convex hull; an open one no more than its own pixels."""

LARGEST_RESIDUAL = 0.03
"""Root mean square distance of an outline from its ellipse, over the mean semi-axis: beyond, it is no ellipse."""

SMALLEST_ARC = 0.5
"""Share of an ellipse that must be drawn: shorter arcs, with the steps of their pixels, fit ellipses of many sizes."""

_SECTORS = 90
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Ellipse:
    """Centre (y, x) and semi-axes in pixels; angle of the first axis against the x axis, towards y, in radians."""

    centre: tuple[float, float]
    axes: tuple[float, float]
    angle: float

    def inside(self, size: tuple[int, int]) -> np.ndarray:
        """(height, width) bool: True where the centre of a pixel lies in the ellipse; what lies outside is cut off."""
        along, across = self._unit(*np.ogrid[: size[0], : size[1]])
        return along**2 + across**2 <= 1

    def drawn_share(self, outline: np.ndarray) -> float:
        """Share (0 to 1) of the sectors of the ellipse that hold pixels of `outline`, (H, W) bool."""
        along, across = self._unit(*np.nonzero(outline))
        sectors = np.floor(np.arctan2(across, along) / (2 * np.pi) * _SECTORS)
        return len(np.unique(sectors)) / _SECTORS

    def _unit(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates in which the ellipse is the unit circle."""
        down, right = y - self.centre[0], x - self.centre[1]
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return (right * cosine + down * sine) / self.axes[0], (down * cosine - right * sine) / self.axes[1]


def fill_closed(outline: np.ndarray) -> np.ndarray | None:
    """The area that a closed outline encloses, (H, W) bool; None where it is open or cut by the image border.

    The boundary runs along the middle of the line: a pixel of the line belongs to the area unless it is nearer to the
    outside than to the inside. Where both are equally near, as on a line one pixel wide, the neighbours decide, and on
    a straight line it belongs to the area.
    """
    boxes = ndimage.find_objects(outline.astype(np.uint8))
    if not boxes:
        return None
    window = outline[boxes[0]]
    line = np.pad(window, 1)
    regions, _ = ndimage.label(~line)
    outside = regions == regions[0, 0]
    inside = ~line & ~outside
    if not inside.any() or (~outside).sum() < CLOSED_SHARE * _hull_area(window):
        return None
    nearer_outside = (_distance_to(inside) - _distance_to(outside)).astype(np.float32)
    filled = np.zeros(outline.shape, dtype=bool)
    filled[boxes[0]] = (~outside & (ndimage.gaussian_filter(nearer_outside, sigma=0.5) < _ROUNDING))[1:-1, 1:-1]
    return filled


def _distance_to(pixels: np.ndarray) -> np.ndarray:
    """Steps to the nearest of `pixels`: quick, and as good as straight distances for comparing a line's two sides."""
    return ndimage.distance_transform_cdt(~pixels, metric="taxicab")


def _hull_area(pixels: np.ndarray) -> float:
    """Area of the convex hull of the pixels' centres; 0 where they lie on one line."""
    rows = np.flatnonzero(pixels.any(axis=1))
    first, last = pixels[rows].argmax(axis=1), pixels.shape[1] - 1 - pixels[rows, ::-1].argmax(axis=1)
    try:
        return float(ConvexHull(np.concatenate([np.stack([rows, first], 1), np.stack([rows, last], 1)])).volume)
    except QhullError:
        return 0.0


def fit_ellipse(outline: np.ndarray) -> Ellipse | None:
    """The ellipse along the pixels of an outline, (H, W) bool; None where they do not lie on one or too few of it.

    What "on one" and "too few" mean is told by `LARGEST_RESIDUAL` and `SMALLEST_ARC`.

    Direct least squares after Halir and Flusser, Numerically stable direct least squares fitting of ellipses (1998).
    Written here because the interface of scikit-image's EllipseModel changed at 0.26, so that no call fits all the
    versions we allow; the tests compare with it.
    """
    points = np.argwhere(outline).astype(float)
    if len(points) < 6:
        return None
    middle, scale = points.mean(axis=0), points.std()
    y, x = ((points - middle) / scale).T
    conic = _conic(x, y)
    if conic is None:
        return None
    a, b, c, d, e, f = conic
    form = np.array([[a, b / 2], [b / 2, c]])
    centre = np.linalg.solve(-2 * form, [d, e])
    height = f + (d * centre[0] + e * centre[1]) / 2
    values, vectors = np.linalg.eigh(form)
    squared = -height / values
    if not (np.isfinite(squared).all() and (squared > 0).all()):
        return None
    axes = np.sqrt(squared)
    level = (a * x + b * y + d) * x + (c * y + e) * y + f
    slope = np.hypot(2 * a * x + b * y + d, b * x + 2 * c * y + e)
    if math.sqrt(np.mean((level / slope) ** 2)) > LARGEST_RESIDUAL * axes.mean():
        return None
    ellipse = Ellipse(
        (float(centre[1] * scale + middle[0]), float(centre[0] * scale + middle[1])),
        (float(axes[0] * scale), float(axes[1] * scale)),
        math.atan2(vectors[1, 0], vectors[0, 0]),
    )
    return ellipse if ellipse.drawn_share(outline) >= SMALLEST_ARC else None


def _conic(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Coefficients of x², xy, y², x, y, 1 with the least squares of their sum and 4ac - b² = 1; None if degenerate."""
    squares, rest = np.stack([x * x, x * y, y * y], axis=1), np.stack([x, y, np.ones_like(x)], axis=1)
    try:
        to_rest = -np.linalg.solve(rest.T @ rest, rest.T @ squares)
        reduced = squares.T @ squares + (squares.T @ rest) @ to_rest
        _, vectors = np.linalg.eig(np.stack([reduced[2] / 2, -reduced[1], reduced[0] / 2]))
    except np.linalg.LinAlgError:
        return None
    vectors = np.real_if_close(vectors)
    elliptic = np.real(4 * vectors[0] * vectors[2] - vectors[1] ** 2) > 0
    if not elliptic.any():
        return None
    leading = np.real(vectors[:, int(np.argmax(elliptic))])
    return np.concatenate([leading, to_rest @ leading])
