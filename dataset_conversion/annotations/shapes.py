"""One annotated shape and the pixels that it covers.

Everywhere in this package (0, 0) is the outer corner of the first pixel, x goes right and y down, so that the pixel in
row r and column c covers c ≤ x < c + 1, r ≤ y < r + 1 and has its centre at (c + 0.5, r + 0.5). Readers of formats
bring their coordinates to this convention and say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Patch:
    """Pixels of a shape: `inside` (h, w) bool, whose first pixel lies in row `top` and column `left` of the picture."""

    top: int
    left: int
    inside: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the patch lies in the picture."""
        height, width = self.inside.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


class Shape(Protocol):
    """Anything that can be drawn.

    Attributes:
        name: its class; "" where the file gives none.
        part_of: shapes of one file with the same key are parts of one object; None stands for an object of its own.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def part_of(self) -> str | None: ...  # noqa: D102

    @property
    def points(self) -> int:
        """Number of distinct points of the outline; 3 or more where the shape is no outline."""
        ...

    @property
    def area(self) -> float:
        """Its own area in pixels, parts outside the picture included."""
        ...

    def fill(self, size: tuple[int, int]) -> Patch:
        """The pixels of a picture of `size` (height, width) that it covers; the patch may be empty."""
        ...


@dataclass(frozen=True, eq=False)
class Outline:
    """A polygon with holes.

    A pixel belongs to it when its centre lies inside the exterior, by the even-odd rule where the line crosses itself,
    and in no hole. A centre on the line belongs to the side to its right, on a horizontal line to the side below, so
    outlines that share an edge share no pixel and leave none between them.

    Attributes:
        exterior: (N, 2) x, y in pixels, finite; the last point is joined to the first.
        holes: the same, each.
    """

    name: str
    exterior: np.ndarray
    holes: tuple[np.ndarray, ...] = ()
    part_of: str | None = None

    @property
    def points(self) -> int:
        """Number of distinct points of the exterior."""
        return len(np.unique(self.exterior, axis=0))

    @property
    def area(self) -> float:
        """Area of the exterior less that of the holes, at least 0."""
        return max(0.0, ring_area(self.exterior) - sum(ring_area(hole) for hole in self.holes))

    def fill(self, size: tuple[int, int]) -> Patch:
        """The pixels whose centres lie inside."""
        top, bottom = _span(self.exterior[:, 1], size[0])
        left, right = _span(self.exterior[:, 0], size[1])
        inside = _fill_ring(self.exterior, top, left, (bottom - top, right - left))
        for hole in self.holes:
            inside &= ~_fill_ring(hole, top, left, inside.shape)
        return Patch(top, left, inside)


@dataclass(frozen=True, eq=False)
class PixelMask:
    """A shape that its file stores as pixels.

    Attributes:
        area: number of its pixels.
        decode: gives the patch; called whenever the shape is drawn, so that many masks need no memory until then.
    """

    name: str
    area: float
    decode: Callable[[], Patch]
    part_of: str | None = None
    points: int = 4

    def fill(self, size: tuple[int, int]) -> Patch:
        """The pixels, cut at the picture's border."""
        patch = self.decode()
        rows, columns = (
            slice(max(0, -start), max(0, length - start))
            for start, length in zip((patch.top, patch.left), size, strict=True)
        )
        return Patch(max(0, patch.top), max(0, patch.left), patch.inside[rows, columns])


def ring_area(ring: np.ndarray) -> float:
    """Area of a closed line (N, 2) by the shoelace formula; 0 for fewer than three points."""
    # measured from its first point, so that large coordinates cost no digits
    x, y = (ring - ring[:1]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _span(coordinates: np.ndarray, length: int) -> tuple[int, int]:
    """First and one past the last pixel of 0 to `length` whose centre lies between the extremes."""
    if not len(coordinates):
        return 0, 0
    first = int(np.clip(np.ceil(coordinates.min() - 0.5), 0, length))
    end = int(np.clip(np.floor(coordinates.max() - 0.5) + 1, 0, length))
    return first, max(first, end)


def _fill_ring(ring: np.ndarray, top: int, left: int, shape: tuple[int, ...]) -> np.ndarray:
    """Even-odd filling of a window: a centre is inside where an odd number of edges lie at its left or on it."""
    height, width = shape
    start, end = ring, np.roll(ring, -1, axis=0)
    # From its upper to its lower end, whichever way it is walked: on a shared edge neighbours compute the same.
    downwards = (start[:, 1] <= end[:, 1])[:, np.newaxis]
    upper, lower = np.where(downwards, start, end) - 0.5, np.where(downwards, end, start) - 0.5
    first = np.clip(np.ceil(upper[:, 1]), top, top + height).astype(np.int64)
    count = np.clip(np.ceil(lower[:, 1]), top, top + height).astype(np.int64) - first
    edge = np.repeat(np.arange(len(ring)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    run, fall = (lower - upper)[edge].T
    crossing = upper[edge, 0] + (row - upper[edge, 1]) * (run / fall)
    column = np.clip(np.ceil(crossing), left, left + width).astype(np.int64) - left
    toggles = np.zeros((height, width + 1), dtype=np.uint8)
    np.bitwise_xor.at(toggles, (row - top, column), 1)
    return np.bitwise_xor.accumulate(toggles, axis=1)[:, :width].astype(bool)
