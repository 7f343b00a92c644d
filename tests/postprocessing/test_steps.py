import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import label, regionprops
from skimage.morphology import closing, disk, opening

from medt_pipeline.postprocessing.steps import (
    STEPS,
    Step,
    close_outline,
    fill_holes,
    keep_largest,
    open_outline,
    remove_small_objects,
)

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def blobs(seed, smoothness=1.5, level=0.05):
    return ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((60, 80)), smoothness) > level


def _reference_large_objects(mask, min_area):
    kept = np.zeros_like(mask)
    for one in regionprops(label(mask, connectivity=2)):
        if one.area >= min_area:
            kept[tuple(one.coords.T)] = True
    return kept


def _reference_filled(mask, max_area):
    filled = mask.copy()
    for one in regionprops(label(~mask, connectivity=1)):
        top, left, bottom, right = one.bbox
        inside = top > 0 and left > 0 and bottom < mask.shape[0] and right < mask.shape[1]
        if inside and one.area <= max_area:
            filled[tuple(one.coords.T)] = True
    return filled


@given(mask=MASKS, area=st.integers(1, 30))
@settings(max_examples=80)
def test_areas_decide_as_region_properties_say(mask, area):
    assert np.array_equal(remove_small_objects(mask, area), _reference_large_objects(mask, area))
    assert np.array_equal(fill_holes(mask, area), _reference_filled(mask, area))


@pytest.mark.parametrize("seed", range(3))
def test_all_holes_are_filled_as_scipy_fills_them(seed):
    assert np.array_equal(fill_holes(blobs(seed), 1e9), ndimage.binary_fill_holes(blobs(seed)))


@given(mask=MASKS)
@settings(max_examples=40)
def test_the_largest_object_alone_is_left(mask):
    largest = keep_largest(mask)
    areas = [one.area for one in regionprops(label(mask, connectivity=2))]
    assert largest.sum() == max(areas, default=0)
    assert not (largest & ~mask).any()
    assert label(largest, connectivity=2).max() == min(1, len(areas))


@pytest.mark.parametrize("radius", [1, 2, 4])
@pytest.mark.parametrize("seed", range(2))
def test_outlines_are_opened_and_closed_by_a_disc(seed, radius):
    """Away from the border, about which scikit-image's functions with a footprint think otherwise."""
    mask = np.pad(blobs(seed), 12)
    assert np.array_equal(open_outline(mask, radius), opening(mask, disk(radius)))
    assert np.array_equal(close_outline(mask, radius), closing(mask, disk(radius)))


@given(mask=MASKS, radius=st.floats(0.5, 5))
@settings(max_examples=40)
def test_opening_only_takes_and_closing_only_gives(mask, radius):
    assert not (open_outline(mask, radius) & ~mask).any()
    assert not (mask & ~close_outline(mask, radius)).any()


def test_the_border_of_the_image_erodes_nothing():
    mask = np.zeros((20, 20), bool)
    mask[:, :9] = True
    assert np.array_equal(open_outline(mask, 4), mask)
    assert np.array_equal(close_outline(mask, 4), mask)
    mask[8:12, :] = False
    assert not fill_holes(mask, 1e9)[8:12].any()


STEP_EXAMPLES = [Step("keep_largest"), *(Step(name, 3.0) for name, rule in STEPS.items() if rule.parameter)]


@pytest.mark.parametrize("step", STEP_EXAMPLES, ids=str)
@pytest.mark.parametrize(
    "mask", [np.zeros((5, 7), bool), np.ones((5, 7), bool), blobs(0)], ids=["empty", "full", "blobs"]
)
def test_steps_leave_their_argument_alone_and_empty_masks_empty(step, mask):
    before = mask.copy()
    after = step(mask)
    assert np.array_equal(mask, before)
    assert (after.dtype, after.shape) == (bool, mask.shape)
    if not mask.any():
        assert not after.any()
    if mask.all() and mask.size > 3:
        assert after.all()


def test_every_step_is_tried():
    assert {step.name for step in STEP_EXAMPLES} == set(STEPS)
    assert str(Step("open", 2.0)) == "open(radius_px=2)"
    assert str(Step("keep_largest")) == "keep_largest"


@pytest.mark.parametrize(
    ("name", "amount"),
    [("dilate", 1), ("open", 0), ("open", -1), ("open", 1e4), ("open", float("nan")), ("keep_largest", 1)],
)
def test_impossible_steps_are_refused(name, amount):
    with pytest.raises(ValueError, match=name):
        Step(name, amount)
