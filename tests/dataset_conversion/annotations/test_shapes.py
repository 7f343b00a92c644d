"""Which pixels a shape covers, against shapely and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from medt_pipeline.dataset_conversion.annotations.shapes import Outline, Patch, PixelMask, Shape, ring_area

SIZE = (24, 31)


def pixels(shape: Shape, size: tuple[int, int] = SIZE) -> np.ndarray:
    covered = np.zeros(size, dtype=bool)
    patch = shape.fill(size)
    covered[patch.window] = patch.inside
    return covered


def ring(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float64)


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return ring((left, top), (right, top), (right, bottom), (left, bottom))


def _reference_pixels(polygon: shapely.Geometry, size: tuple[int, int] = SIZE) -> np.ndarray:
    y, x = np.indices(size) + 0.5
    return shapely.contains_xy(polygon, x, y)


coordinates = st.floats(-6, 40, allow_nan=False)
rings = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9).map(lambda points: ring(*points))


@given(rings)
def test_even_odd_wherever_the_line_crosses_itself(exterior: np.ndarray) -> None:
    y, x = (index.ravel() + 0.5 for index in np.indices(SIZE))
    expected = points_in_poly(np.column_stack([x, y]), exterior).reshape(SIZE)
    on_the_line = shapely.dwithin(shapely.LinearRing(exterior), shapely.points(x, y), 1e-9).reshape(SIZE)
    assert not ((pixels(Outline("a", exterior)) != expected) & ~on_the_line).any()


@given(st.integers(0, 2**32 - 1))
def test_pixels_equal_shapely(seed: int) -> None:
    random = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radius = random.uniform(2, 14, 12)[:, np.newaxis]
    star = random.uniform(0, 25, 2) + radius * np.column_stack([np.cos(angle), np.sin(angle)])
    np.testing.assert_array_equal(pixels(Outline("a", star)), _reference_pixels(shapely.Polygon(star)))


def test_corner_convention() -> None:
    expected = np.zeros(SIZE, dtype=bool)
    expected[2:5, 3:7] = True
    np.testing.assert_array_equal(pixels(Outline("a", rectangle(3, 2, 7, 5))), expected)
    # half a pixel less on every side leaves out no centre, a hair more does
    np.testing.assert_array_equal(pixels(Outline("a", rectangle(3.49, 2.49, 6.51, 4.51))), expected)
    np.testing.assert_array_equal(
        pixels(Outline("a", rectangle(3.51, 2.49, 6.51, 4.51))), expected & (np.arange(31) > 3)
    )


@given(st.integers(0, 2**32 - 1))
def test_neighbours_share_no_pixel_and_leave_none(seed: int) -> None:
    """The picture cut into triangles around a point; coordinates of halves put many centres on the lines."""
    random = np.random.default_rng(seed)
    centre = random.integers(1, 46, 2) / 2
    frame = rectangle(-1, -1, 32, 25)
    on_frame = [(x / 2, -1.0) for x in random.integers(-1, 63, 5)] + [(32.0, y / 2) for y in random.integers(-1, 49, 5)]
    corners = np.array(
        sorted([*map(tuple, frame), *on_frame], key=lambda p: np.arctan2(p[1] - centre[1], p[0] - centre[0]))
    )
    triangles = [np.array([centre, a, b]) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    np.testing.assert_array_equal(sum(pixels(Outline("a", triangle)).astype(int) for triangle in triangles), 1)


@given(rings, st.integers(0, 8))
def test_where_and_which_way_a_line_is_walked_does_not_matter(exterior: np.ndarray, start: int) -> None:
    walked = np.roll(exterior, start, axis=0)
    np.testing.assert_array_equal(pixels(Outline("a", walked)), pixels(Outline("a", exterior[::-1])))


def test_holes_are_cut() -> None:
    hole, second = rectangle(5, 4, 12, 10), rectangle(9, 8, 14, 13)
    shape = Outline("a", rectangle(2, 2, 20, 18), (hole, second))
    expected = _reference_pixels(shapely.box(2, 2, 20, 18) - shapely.box(5, 4, 12, 10) - shapely.box(9, 8, 14, 13))
    np.testing.assert_array_equal(pixels(shape), expected)
    hole_outside = Outline("a", rectangle(2, 2, 8, 8), (rectangle(6, 6, 12, 12),))
    assert not pixels(hole_outside)[:, 8:].any()


def test_areas() -> None:
    shape = Outline("a", rectangle(2, 2, 20, 18), (rectangle(5, 4, 12, 10),))
    assert shape.area == 18 * 16 - 7 * 6
    assert ring_area(rectangle(1e6, 1e6, 1e6 + 0.5, 1e6 + 0.25)) == 0.125
    assert ring_area(np.zeros((0, 2))) == 0
    assert Outline("a", rectangle(2, 2, 4, 4), (rectangle(0, 0, 9, 9),)).area == 0


def test_large_circle_has_its_area() -> None:
    angle = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    circle = Outline("a", np.column_stack([400 + 350.3 * np.cos(angle), 420 + 350.3 * np.sin(angle)]))
    assert pixels(circle, (800, 800)).sum() == pytest.approx(circle.area, rel=1e-3)


@pytest.mark.parametrize(
    "exterior",
    [np.zeros((0, 2)), ring((3, 3)), ring((3, 3), (9, 9)), rectangle(40, 40, 50, 50), rectangle(-9, -9, -1, -1)],
    ids=["empty", "point", "line", "right of it", "left of it"],
)
def test_nothing_to_cover(exterior: np.ndarray) -> None:
    assert not Outline("a", exterior).fill(SIZE).inside.any()


def test_points_are_counted_once() -> None:
    assert Outline("a", ring((1, 1), (2, 2), (1, 1), (2, 2))).points == 2
    assert Outline("a", np.zeros((0, 2))).points == 0


@pytest.mark.parametrize(("top", "left"), [(2, 3), (-2, -1), (22, 29), (40, 40), (-9, -9)])
def test_pixel_masks_are_cut_at_the_border(top: int, left: int) -> None:
    inside = np.random.default_rng(0).random((5, 6)) < 0.5
    expected = np.zeros((80, 80), dtype=bool)
    expected[20 + top : 25 + top, 20 + left : 26 + left] = inside
    shape = PixelMask("a", float(inside.sum()), lambda: Patch(top, left, inside))
    np.testing.assert_array_equal(pixels(shape), expected[20 : 20 + SIZE[0], 20 : 20 + SIZE[1]])
