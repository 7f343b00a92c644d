"""How images are reduced: against our own resampling of slides, which was written apart from it, and known textures."""

from __future__ import annotations

import numpy as np
import pytest
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from skimage.transform import resize

from medt_pipeline.core.resampling import resample
from medt_pipeline.planning.preprocessing import (
    AntialiasingPreprocessor,
    FixedSizePreprocessor,
    how_preprocessed,
    make_preprocessor,
    reduce_by_mean,
)


def unused(*_: object) -> np.ndarray:
    raise AssertionError("the image is reduced")


@pytest.mark.parametrize("shape", [(53, 31), (40, 77), (120, 90), (1, 1)])
def test_images_are_reduced_as_slides_are(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (120, 90, 3), np.uint8)
    step = (120 / shape[0], 90 / shape[1])
    expected = resample(picture, (0, 0), (120, 90), step, (0, 0), shape)
    data = picture.transpose(2, 0, 1)[:, None].astype(np.float32)
    found = reduce_by_mean(data, (1, *shape), enlarge=unused)
    assert found.dtype == np.float32
    # slides are rounded to whole levels
    np.testing.assert_allclose(found[:, 0].transpose(1, 2, 0), expected, atol=0.51)


def test_texture_finer_than_a_pixel_becomes_its_mean_and_not_noise() -> None:
    """A fine checkerboard of 0 and 1; nnU-Net's spline makes of it what the places of its points happen to meet."""
    board = (np.indices((240, 240)).sum(0) % 2).astype(np.float32)
    found = reduce_by_mean(board[None, None], (1, 57, 57), enlarge=unused)[0, 0]
    assert np.abs(found - 0.5).max() < 0.05
    assert np.abs(resize(board, (57, 57), 3, mode="edge", anti_aliasing=False) - 0.5).max() > 0.4


def test_an_image_that_grows_is_left_to_nnunet() -> None:
    data = np.ones((1, 1, 40, 60), np.float32)
    grown = np.zeros((1, 1, 41, 20), np.float32)
    asked = []

    def enlarge(*arguments: object) -> np.ndarray:
        asked.append(arguments)
        return grown

    assert reduce_by_mean(data, (1, 41, 20), [1, 1, 1], [1, 2, 3], enlarge=enlarge) is grown
    assert [one[1:] for one in asked] == [((1, 41, 20), [1, 1, 1], [1, 2, 3])]


@pytest.mark.parametrize(
    ("ours", "kind"),
    [
        ({"antialiased": True}, AntialiasingPreprocessor),
        ({"fixed_size": [64, 64], "antialiased": False}, FixedSizePreprocessor),
    ],
)
def test_the_plan_says_how(ours: dict, kind: type) -> None:
    keys = ("spacing", "normalization_schemes", "use_mask_for_norm", "resampling_fn_data", "resampling_fn_seg")
    settings = ConfigurationManager({**dict.fromkeys((*keys, "architecture")), "medt": ours})
    assert type(make_preprocessor(settings)) is kind
    assert how_preprocessed(settings)["antialiased"] is ours["antialiased"]
