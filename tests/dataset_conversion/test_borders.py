"""Rims of objects, against erosions of each object alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.borders import BorderedMask, mark_borders
from medt_pipeline.dataset_conversion.masks import MaskFile, MaskReading
from tests.dataset_conversion.drawn import save


def _reference_labels(objects: np.ndarray, width: int) -> np.ndarray:
    """Each object alone: its outermost pixels by a cross-shaped erosion, the rest by their distance from these."""
    labels = np.zeros(objects.shape, dtype=np.uint8)
    for number in np.unique(objects[objects > 0]):
        own = objects == number
        outermost = own & ~ndimage.binary_erosion(own, border_value=1)
        depth = ndimage.distance_transform_edt(~outermost) if outermost.any() else np.full(own.shape, np.inf)
        inside = own & (depth >= width)
        labels[own] = 2
        labels[inside if inside.any() else own & (depth == depth[own].max())] = 1
    return labels


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_touching_objects(width: int) -> None:
    """Cells of a picture cut by random lines: most touch others, some the picture's border, some are tiny."""
    random = np.random.default_rng(width)
    y, x = np.indices((60, 70))
    seeds = random.integers(0, 60, (25, 2))
    objects = np.argmin((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2, axis=-1)
    objects = np.where(random.permutation(25)[objects] > 4, objects, 0) * 7
    labels = mark_borders(objects, width)
    np.testing.assert_array_equal(labels, _reference_labels(objects, width))
    np.testing.assert_array_equal(labels > 0, objects > 0)
    assert set(np.unique(objects[labels == 1])) == set(np.unique(objects[objects > 0]))


def test_a_square() -> None:
    objects = np.zeros((12, 12), dtype=np.uint16)
    objects[2:10, 0:8] = 5
    labels = mark_borders(objects, 2)
    expected = np.zeros((12, 12), dtype=np.uint8)
    expected[2:10, 0:8] = 2
    expected[4:8, 0:6] = 1  # the picture's border at its left is none of its own
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("value", [0, 3], ids=["none", "one over all"])
def test_pictures_without_a_rim(value: int) -> None:
    labels = mark_borders(np.full((5, 6), value), 2)
    np.testing.assert_array_equal(labels, value > 0)


def test_the_mask_keeps_its_objects(tmp_path: Path) -> None:
    objects = np.zeros((12, 12), dtype=np.uint8)
    objects[1:6, 1:6], objects[6:11, 1:6] = 1, 2
    file = save(tmp_path / "a.png", objects)
    mask = BorderedMask(MaskFile(file, MaskReading(instances=True)), 1)
    assert mask.files == (file,)
    read = mask.read((12, 12))
    np.testing.assert_array_equal(read.objects, objects)
    np.testing.assert_array_equal(read.values, _reference_labels(objects, 1))
    with pytest.raises(UserError, match="--border must be 1 pixel or more, got 0"):
        BorderedMask(mask, 0)
