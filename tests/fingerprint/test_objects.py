from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from skimage import draw, measure

from medt_pipeline.fingerprint.objects import area_weighted_median, boundary_length, count_touching, measure_objects

MASKS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2))


@given(MASKS)
def test_agrees_with_scikit_image(labels: np.ndarray) -> None:
    for label, measured in measure_objects(labels, (1, 2)).items():
        mask = labels == label
        regions = measure.regionprops(measure.label(mask, connectivity=2))
        facts = measured.facts
        assert facts.count == len(regions)
        assert facts.is_absent == (not regions)
        assert facts.area_share == pytest.approx(mask.mean())
        diameters = sorted(region.equivalent_diameter_area for region in regions)
        assert sorted(measured.diameters) == pytest.approx(diameters)
        if regions:
            expected = np.percentile(diameters, (5, 25, 50, 75, 95))
            one = facts.diameter_px
            assert (one.p05, one.p25, one.p50, one.p75, one.p95) == pytest.approx(tuple(expected))
        else:
            assert facts.diameter_px is None
        whole = mask.all() or not regions
        expected = None if whole else ndimage.distance_transform_edt(mask).max()
        assert facts.thickness_px == (None if expected is None else pytest.approx(expected))
        assert facts.touching_count is None


@given(arrays.arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9)), elements=st.integers(0, 3)))
def test_touching_agrees_with_dilation(objects: np.ndarray) -> None:
    touching = {
        number
        for number in np.unique(objects[objects > 0])
        if set(np.unique(objects[ndimage.binary_dilation(objects == number, np.ones((3, 3)))])) - {0, number}
    }
    assert count_touching(objects) == len(touching)


def test_instances_part_what_touches() -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[5:15, 5:25] = 1
    instances = labels.astype(np.uint16)
    instances[5:15, 15:25] = 300
    assert measure_objects(labels, (1,))[1].facts.count == 1
    facts = measure_objects(labels, (1,), instances)[1].facts
    assert (facts.count, facts.touching_count) == (2, 2)
    assert facts.diameter_px.p50 == pytest.approx(np.sqrt(400 / np.pi))
    absent = measure_objects(labels, (2,), instances)[2].facts
    assert (absent.count, absent.touching_count, absent.is_absent) == (0, 0, True)


@pytest.mark.parametrize("radius", [10, 30.5])
def test_disc(radius: float) -> None:
    labels = np.zeros((80, 90), np.uint8)
    labels[draw.disk((40, 45), radius)] = 3
    facts = measure_objects(labels, (3,))[3].facts
    assert facts.boundary_length_px == pytest.approx(2 * np.pi * radius, rel=0.03)
    assert facts.thickness_px == pytest.approx(radius, abs=1)
    assert facts.diameter_px.area_weighted == pytest.approx(2 * radius, rel=0.02)


@pytest.mark.parametrize("angle", np.linspace(0, 90, 7))
def test_straight_lines_of_any_direction(angle: float) -> None:
    rows, columns = np.indices((201, 201)) - 100
    inside = np.hypot(rows, columns) <= 95
    half = rows * np.cos(np.radians(angle)) + columns * np.sin(np.radians(angle)) > 0.3
    # The half disc's boundary less that of the disc leaves the diameter and half a circle.
    length = boundary_length(half & inside)
    assert length == pytest.approx(190 + np.pi * 95, rel=0.06)


def test_boundary_agrees_with_scikit_image_away_from_the_border() -> None:
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.normal(size=(100, 120)), 4) > 0
    mask[:3] = mask[-3:] = False
    mask[:, :3] = mask[:, -3:] = False
    assert boundary_length(mask) == pytest.approx(measure.perimeter_crofton(mask, directions=4), rel=0.02)


def test_the_border_of_the_image_bounds_nothing() -> None:
    facts = measure_objects(np.ones((16, 16), np.uint8), (1,))[1].facts
    assert (facts.boundary_length_px, facts.thickness_px, facts.area_share) == (0, None, 1)
    half = np.zeros((20, 40), np.uint8)
    half[:, :30] = 1
    assert measure_objects(half, (1,))[1].facts.thickness_px == 30


def test_area_weighted_median_is_that_of_the_pixels() -> None:
    # 100 specks of one pixel and one object of 300: most pixels belong to the object.
    assert area_weighted_median(np.array([1.0] * 100 + [300**0.5])) == pytest.approx(300**0.5)
