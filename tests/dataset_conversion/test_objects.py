"""Objects of label maps, against scikit-image."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from medt_pipeline.dataset_conversion.objects import FoundObject, find_objects


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), density=st.floats(0.05, 0.6))
def test_regions_of_every_label(seed: int, density: float) -> None:
    draw = np.random.default_rng(seed)
    labels = np.where(draw.random((14, 17)) < density, draw.integers(1, 3, (14, 17)), 0).astype(np.uint8)
    expected = {
        value: sorted(region.area for region in regionprops(label(labels == value, connectivity=2))) for value in (1, 2)
    }
    found = find_objects(labels)
    assert {value: sorted(areas.tolist()) for value, areas in found.areas.items()} == {
        value: areas for value, areas in expected.items() if areas
    }
    if any(expected.values()):
        assert found.smallest is not None and found.largest is not None
        assert found.smallest.area == min(min(areas) for areas in expected.values() if areas)
        boxes = [
            (value, region.area, region.bbox)
            for value in (1, 2)
            for region in regionprops(label(labels == value, connectivity=2))
        ]
        top, left, bottom, right = found.largest.box
        assert (found.largest.label, found.largest.area, (top, left, bottom + 1, right + 1)) in boxes


def test_numbered_objects_that_touch_are_apart_and_have_the_label_of_most_pixels() -> None:
    labels = np.zeros((6, 9), np.uint8)
    labels[1:5, 1:4], labels[1:5, 4:8] = 1, 2
    objects = np.zeros((6, 9), np.uint16)
    objects[1:5, 1:3], objects[1:5, 3:6], objects[1:5, 6:8], objects[0, 0:2] = 700, 5, 9, 3
    found = find_objects(labels, objects)
    # 5 covers a column of label 1 and two of label 2; 3 lies on background
    assert {value: areas.tolist() for value, areas in found.areas.items()} == {1: [8], 2: [12, 8]}
    assert found.largest == FoundObject(2, 12, (1, 3, 4, 5))


def test_nothing() -> None:
    empty = find_objects(np.zeros((3, 3), np.uint8))
    assert (dict(empty.areas), empty.smallest, empty.largest) == ({}, None, None)
    assert find_objects(np.zeros((3, 3), np.uint8), np.zeros((3, 3), np.uint16)).largest is None
