import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import label

from medt_pipeline.postprocessing.splitting import Splitting, split_objects

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


def discs(*circles, shape=(80, 140)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.any([(rows - y) ** 2 + (columns - x) ** 2 <= radius**2 for y, x, radius in circles], axis=0)


PAIR = discs((40, 40, 20), (40, 72, 20))
"""Two discs whose centres are 32 apart: from the middle of the neck to its outline it is √(20² − 16²) = 12, not 20."""


def test_two_discs_are_split_between_their_centres():
    objects = split_objects(PAIR, Splitting(depth=4.0))
    assert objects.max() == 2
    assert objects[40, 40] != objects[40, 72]
    for column, centre in ((40, 40), (72, 72)):
        own = objects == objects[40, column]
        assert ndimage.center_of_mass(own) == pytest.approx((40, centre), abs=2)
    border = np.flatnonzero(np.diff(objects[40, 25:90]) != 0)
    assert border == pytest.approx(56 - 25, abs=1)


@pytest.mark.parametrize(("depth", "number"), [(1.0, 2), (7.0, 2), (9.0, 1), (30.0, 1)])
def test_depth_is_the_fall_of_the_distance_into_the_neck(depth, number):
    assert split_objects(PAIR, Splitting(depth)).max() == number


def test_equal_peaks_are_one_where_the_neck_is_too_wide():
    """Their maxima are equal, which a mere threshold of the residue would take for two."""
    assert split_objects(discs((40, 40, 20), (40, 50, 20)), Splitting(8.0)).max() == 1


def test_small_objects_are_kept_whatever_the_depth():
    mask = discs((40, 40, 20), (40, 72, 20), (10, 120, 3), (70, 120, 2))
    objects = split_objects(mask, Splitting(5.0))
    assert objects.max() == 4
    assert np.array_equal(objects > 0, mask)


def test_smoothing_ignores_a_rough_outline():
    rough = discs((40, 70, 30)) ^ (discs((40, 70, 30)) & (np.random.default_rng(0).random((80, 140)) < 0.02))
    assert split_objects(rough, Splitting(1.0)).max() > 3
    assert split_objects(rough, Splitting(1.0, smoothing=6.0)).max() == 1


@pytest.mark.parametrize("mask", [np.zeros((6, 6), bool), np.ones((6, 6), bool), np.eye(6, dtype=bool)])
def test_degenerate_masks(mask):
    assert np.array_equal(split_objects(mask, Splitting(1.5)), label(mask, connectivity=2))


@given(mask=MASKS, depth=st.floats(0.1, 4), smoothing=st.sampled_from([0.0, 1.0]))
@settings(max_examples=80)
def test_objects_cover_the_mask_and_lie_within_its_components(mask, depth, smoothing):
    objects = split_objects(mask, Splitting(depth, smoothing))
    components = label(mask, connectivity=2)
    assert np.array_equal(objects > 0, mask)
    numbers = np.unique(objects[objects > 0])
    assert numbers.tolist() == list(range(1, len(numbers) + 1))
    for number in numbers:
        assert len(np.unique(components[objects == number])) == 1
        assert label(objects == number, connectivity=2).max() == 1
    assert len(numbers) >= components.max()


def test_no_splitting_gives_components():
    assert np.array_equal(split_objects(PAIR, None), label(PAIR, connectivity=2))


@pytest.mark.parametrize(("depth", "smoothing"), [(0, 0), (-1, 0), (float("nan"), 0), (1e9, 0), (1, -1), (1, 1e9)])
def test_impossible_values_are_refused(depth, smoothing):
    with pytest.raises(ValueError, match="splitting must"):
        Splitting(depth, smoothing)
