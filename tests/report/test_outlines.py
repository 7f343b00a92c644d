from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw
from scipy import ndimage
from shapely import Polygon

from medt_pipeline.report.outlines import TOLERANCE, UNITS, outline
from tests.report.drawn_results import disc


def rings_of(path: str) -> list[np.ndarray]:
    """Corners (x, y) in pixels of the picture of each closed line of the path."""
    rings = []
    for part in re.findall(r"M[^z]*z", path):
        start, _, steps = part[1:-1].partition("l")
        first = np.array([int(one) for one in re.findall(r"-?\d+", start)])
        moves = np.array([int(one) for one in re.findall(r"-?\d+", steps)]).reshape(-1, 2)
        rings.append((first + np.vstack([[0, 0], moves.cumsum(0)])) / UNITS)
    return rings


def _reference_filled(path: str, shape: tuple[int, int], fine: int = 8) -> np.ndarray:
    """The path filled by the even-odd rule, by Pillow, as shares of each pixel."""
    size = (shape[1] * fine, shape[0] * fine)
    canvas = Image.new("1", size)
    for ring in rings_of(path):
        one = Image.new("1", size)
        ImageDraw.Draw(one).polygon([tuple(point) for point in (ring * fine - 0.5).tolist()], fill=1)
        canvas = ImageChops.logical_xor(canvas, one)
    return np.array(canvas).reshape(shape[0], fine, shape[1], fine).mean((1, 3))


def test_a_filled_outline_is_the_region() -> None:
    region = disc(15).astype(bool)
    filled = _reference_filled(outline(region, 1.0), region.shape)
    assert filled[ndimage.binary_erosion(region)].min() == 1
    assert filled[~ndimage.binary_dilation(region)].max() == 0
    assert filled.sum() == pytest.approx(region.sum(), rel=0.02)


def test_holes_and_several_parts() -> None:
    ring = (disc(18) > disc(9)) | (disc(4, 6, 58) > 0)
    path = outline(ring, 1.0)
    assert path.count("M") == path.count("z") == 3
    filled = _reference_filled(path, ring.shape)
    assert filled[24, 30] == 0
    assert filled.sum() == pytest.approx(ring.sum(), rel=0.03)


@given(st.floats(0.2, 1.0), st.integers(6, 20), st.integers(0, 47), st.integers(0, 63))
def test_a_reduced_picture_has_the_region_at_its_place(scale: float, radius: int, row: int, column: int) -> None:
    rings = rings_of(outline(disc(radius, row, column).astype(bool), scale))
    assert rings
    if min(row, column, 47 - row, 63 - column) > radius:
        # Not the mean of the corners, which lie closer together where fewer could be left out.
        centre = Polygon(*rings).centroid
        assert np.hypot(centre.x / scale - (column + 0.5), centre.y / scale - (row + 0.5)) < TOLERANCE / scale


def test_the_edge_of_the_image_is_no_outline() -> None:
    region = np.zeros((40, 40), bool)
    region[:, :20] = True
    points = np.concatenate(rings_of(outline(region, 0.5)))
    within = ((points > 0) & (points < 20)).all(1)
    assert not within.any(), "the only line in the picture is a straight one from beyond the top to beyond the bottom"
    assert set(points[:, 0].round(2)) >= {10.0}
    assert points.min() <= -4
    assert points[:, 1].max() >= 24


@pytest.mark.parametrize("value", [False, True])
def test_nothing_and_everything(value: bool) -> None:
    path = outline(np.full((10, 12), value), 1.0)
    assert bool(path) is value
    if value:
        assert _reference_filled(path, (10, 12)).min() == 1


def test_a_single_pixel_stays() -> None:
    region = np.zeros((9, 9), bool)
    region[4, 4] = True
    (ring,) = rings_of(outline(region, 1.0))
    assert ring.mean(0).tolist() == pytest.approx([4.5, 4.5], abs=0.2)


def test_a_smooth_line_needs_few_numbers() -> None:
    assert len(outline(disc(100, 120, 120, (240, 240)).astype(bool), 1.0)) < 600
