"""Outlines run along the edges of pixels: areas, holes and pixels are those of the instance map."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.features import rasterize
from scipy import ndimage

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.slides import Window
from medt_pipeline.slides.polygons import TOLERANCE, outline, pack, require_packages, simplify, unite, unpack

MAPS = hnp.arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))


def window_of(numbers: np.ndarray, top: int = 0, left: int = 0) -> Window:
    return Window(top, left, top + numbers.shape[0], left + numbers.shape[1])


@given(MAPS)
def test_areas_holes_and_pixels_are_those_of_the_map(numbers: np.ndarray) -> None:
    polygons, piece_of = outline(numbers, window_of(numbers))
    assert shapely.is_valid(polygons).all()
    for number in range(1, 4):
        own = polygons[piece_of == number]
        assert shapely.area(own).sum() == (numbers == number).sum()
        assert len(own) == ndimage.label(numbers == number)[1]
    if len(polygons):
        drawn = rasterize(zip(polygons, piece_of.tolist(), strict=True), numbers.shape, dtype=np.int32)
        assert np.array_equal(drawn, numbers)


def test_coordinates_are_those_of_the_slide() -> None:
    numbers = np.zeros((6, 8), np.int32)
    numbers[1:5, 2:7] = 9
    numbers[2, 3] = 0
    (polygon,), (number,) = outline(numbers, window_of(numbers, top=100, left=2000))
    assert number == 9
    assert polygon.bounds == (2002, 101, 2007, 105)
    assert shapely.Polygon(polygon.interiors[0]).bounds == (2003, 102, 2004, 103)
    assert polygon.area == 19


@pytest.mark.parametrize("cut", [1, 5, 8])
def test_pieces_are_united_along_a_border(cut: int) -> None:
    rng = np.random.default_rng(cut)
    whole = (ndimage.gaussian_filter(rng.normal(size=(16, 16)), 2) > 0).astype(np.int32)
    expected = unite(outline(whole, window_of(whole))[0])
    parts = [outline(whole[:cut], window_of(whole[:cut])), outline(whole[cut:], window_of(whole[cut:], top=cut))]
    united = unite([polygon for polygons, _ in parts for polygon in polygons])
    assert united.equals(expected)
    assert united.area == whole.sum()


def test_pieces_that_touch_at_a_corner_are_one_geometry() -> None:
    numbers = np.array([[1, 0], [0, 1]], np.int32)
    polygons, _ = outline(numbers, window_of(numbers))
    united = unite(list(polygons))
    assert united.geom_type == "MultiPolygon"
    assert united.area == 2


@given(MAPS)
def test_simplified_outlines_stay_within_half_a_pixel(numbers: np.ndarray) -> None:
    polygons, _ = outline(np.kron(numbers, np.ones((2, 3), np.int32)), window_of(numbers))
    simple = simplify(polygons)
    assert shapely.is_valid(simple).all()
    for before, after in zip(polygons, simple, strict=True):
        assert len(before.interiors) == len(after.interiors)
        assert shapely.hausdorff_distance(before.boundary, after.boundary, densify=0.05) <= TOLERANCE + 0.05


def test_points_on_a_straight_edge_go() -> None:
    square = shapely.segmentize(shapely.box(0, 0, 40, 30), 1)
    (simple,) = simplify(np.array([square], dtype=object))
    assert simple.equals(square)
    assert len(shapely.get_coordinates(simple)) == 5


def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    require_packages()
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(UserError, match=r"take rasterio, which is not installed: pip install medt_pipeline\[slides\]"):
        require_packages()


def test_packed_polygons_come_back() -> None:
    numbers = np.random.default_rng(0).integers(0, 4, (20, 20)).astype(np.int32)
    polygons, _ = outline(numbers, window_of(numbers))
    content, ends = pack(polygons)
    assert content.dtype == np.uint8
    assert shapely.equals_exact(unpack(content, ends), polygons).all()
    assert len(unpack(*pack(np.array([], dtype=object)))) == 0
