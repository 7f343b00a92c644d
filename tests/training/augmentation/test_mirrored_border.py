from __future__ import annotations

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.training.augmentation.mirrored_border import MirroredBorderTransform, mirror_outside

sides = st.integers(1, 6)
margins = st.tuples(*[st.integers(0, 9)] * 4)


@given(sides, sides, margins)
def test_padding_becomes_what_numpy_calls_symmetric(height: int, width: int, margin: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = margin
    generator = np.random.default_rng(height * 7 + width)
    image = generator.random((3, height, width)).astype(np.float32)
    labels = generator.integers(0, 3, (1, height, width)).astype(np.int16)
    around = ((0, 0), (top, bottom), (left, right))
    padded = {
        "image": torch.from_numpy(np.pad(image, around)),
        "segmentation": torch.from_numpy(np.pad(labels, around, constant_values=-1)),
    }
    filled = mirror_outside(padded)
    assert np.array_equal(filled["image"], np.pad(image, around, mode="symmetric"))
    assert np.array_equal(filled["segmentation"], np.pad(labels, around, mode="symmetric"))


def test_a_patch_without_any_image_is_left_as_it_is() -> None:
    empty = {"image": torch.zeros(1, 4, 4), "segmentation": torch.full((1, 4, 4), -1)}
    assert mirror_outside(empty) is empty


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_turned_and_zoomed_patches_have_no_black_and_cut_ones_keep_it(probability: float) -> None:
    spatial = SpatialTransform(
        (24, 36),
        patch_center_dist_from_border=0,
        random_crop=False,
        p_rotation=probability,
        rotation=(-np.pi, np.pi),
        p_scaling=probability,
        scaling=(0.5, 1.6),
        border_mode_seg="constant",
        padding_value_seg=-1,
    )
    transform = MirroredBorderTransform(spatial)
    assert spatial.padding_mode_image == "zeros"
    np.random.seed(0)
    for _ in range(20):
        image, labels = torch.zeros(3, 40, 40), torch.full((1, 40, 40), -1, dtype=torch.int16)
        image[:, 12:30, 5:33], labels[:, 12:30, 5:33] = 1.0, 1
        found = transform(image=image, segmentation=labels)
        assert found["image"].shape[1:] == found["segmentation"].shape[1:] == (24, 36)
        if probability:
            assert found["image"].min() > 0.999
            assert (found["segmentation"] == 1).all()
        else:
            assert found["image"].min() == 0
            assert (found["segmentation"] == -1).any()
