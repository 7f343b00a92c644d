"""Blocks give the probabilities that nnU-Net's predictor gives for the whole image, whatever the blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.slides import Window
from medt_pipeline.inference.average import average_members
from medt_pipeline.inference.models import OpenModel
from medt_pipeline.slides.predict import SlideModel
from medt_pipeline.slides.probabilities import SlideNetwork, block_probabilities, lay_out, needed_window
from tests.slides.drawn_slides import DrawnSlide
from tests.slides.stand_in import stand_in

SIZE = (150, 190)
PICTURE = DrawnSlide(SIZE, 30, seed=4).whole()
PICTURE[:2, :2], PICTURE[:2, 2:4] = 0, 255  # nnU-Net cuts what a spline overshoots to the image's own range


def no_sample() -> np.ndarray:
    raise AssertionError("nothing asks for statistics")


def convolutions(seed: int, classes: int = 2) -> nn.Module:
    """A network whose answer depends on its surroundings and on where a patch ends."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 7, padding=3), nn.Tanh(), nn.Conv2d(4, classes, 7, padding=3)).eval()


def whole(model: SlideModel) -> np.ndarray:
    """(classes, H, W) by nnU-Net's own preprocessing, sliding window and way back."""
    return average_members(model.members, PICTURE.transpose(2, 0, 1)[:, None].astype(np.float32)).probabilities[:, 0]


def predicted(networks: list[SlideNetwork], window: Window, touches=lambda window: True) -> np.ndarray:
    shown = needed_window(networks, window)
    picture = PICTURE[shown.top : shown.bottom, shown.left : shown.right]
    return block_probabilities(networks, picture, shown, window, touches)


def by_blocks(networks: list[SlideNetwork], side: int) -> np.ndarray:
    height, width = SIZE
    rows = []
    for top in range(0, height, side):
        windows = [
            Window(top, left, min(top + side, height), min(left + side, width)) for left in range(0, width, side)
        ]
        rows.append(np.concatenate([predicted(networks, window) for window in windows], axis=2))
    return np.concatenate(rows, axis=1)


def assert_like_nnunet(found: np.ndarray, expected: np.ndarray) -> None:
    """nnU-Net adds up in half precision, in which the weights at the border of the image have a digit or two."""
    assert found.shape == expected.shape
    apart = np.abs(found - expected)
    assert apart.max() < 2e-2
    assert apart[:, 8:-8, 8:-8].max() < 2e-3


@pytest.mark.parametrize("mirror_axes", [None, (0, 1)])
@pytest.mark.parametrize("spacing", [1.0, 1.6])
@pytest.mark.parametrize("patch", [(48, 32), (200, 64)])
def test_blocks_equal_nnunet_on_the_whole_image(
    patch: tuple[int, int], spacing: float, mirror_axes: tuple[int, ...] | None
) -> None:
    model = stand_in(patch, spacing, convolutions(1), mirror_axes=mirror_axes)
    networks = lay_out(model.members, SIZE, no_sample)
    expected = whole(model)
    for side in (61, 1000):
        assert_like_nnunet(by_blocks(networks, side), expected)


def test_blocks_of_any_size_give_the_same() -> None:
    model = stand_in((48, 32), 1.6, convolutions(2))
    networks = lay_out(model.members, SIZE, no_sample)
    one = by_blocks(networks, 1000)
    for side in (37, 64):
        assert np.abs(by_blocks(networks, side) - one).max() < 1e-5


def test_models_with_other_spacings_and_patches_are_averaged_by_their_weights() -> None:
    first, second = stand_in((48, 32), 1.0, convolutions(3)), stand_in((32, 64), 2.2, convolutions(4))
    members = (replace(first.members[0], weight=0.25), OpenModel(second.members[0].predictors * 2, 0.75, "2d"))
    both = replace(first, members=members)
    networks = lay_out(members, SIZE, no_sample)
    assert [one.weight for one in networks] == [0.25, 0.375, 0.375]
    assert_like_nnunet(by_blocks(networks, 80), whole(both))


def test_pixels_of_tissue_do_not_depend_on_what_is_left_out() -> None:
    networks = lay_out(stand_in((32, 32), 1.0, convolutions(5)).members, SIZE, no_sample)
    tissue = Window(60, 70, 90, 120)

    def touches(window: Window) -> bool:
        return window.top < 90 and window.bottom > 60 and window.left < 120 and window.right > 70

    window = Window(0, 0, *SIZE)
    found, every = predicted(networks, window, touches), predicted(networks, window)
    inside = (slice(None), *tissue.within(window))
    assert np.abs(found[inside] - every[inside]).max() < 1e-6
    assert (found[:, :10].argmax(0) == 0).all()
    assert found[0, :10].min() > 0.99


@pytest.mark.parametrize("scheme", ["ZScoreNormalization", "RescaleTo01Normalization", "NoNormalization"])
def test_normalizations_take_statistics_of_the_sample(scheme: str) -> None:
    model = stand_in((48, 32), 1.0, convolutions(6), scheme=scheme)
    networks = lay_out(model.members, SIZE, lambda: PICTURE.reshape(-1, 3))
    assert_like_nnunet(by_blocks(networks, 90), whole(model))


def test_other_normalizations_are_refused() -> None:
    model = stand_in(scheme="CTNormalization")
    with pytest.raises(UserError, match="CTNormalization"):
        lay_out(model.members, SIZE, no_sample)


def test_every_patch_is_counted() -> None:
    networks = lay_out(stand_in((32, 32)).members, SIZE, no_sample)
    counted: list[int] = []
    window = Window(0, 0, 40, 40)
    shown = needed_window(networks, window)
    block_probabilities(
        networks, PICTURE[: shown.bottom, : shown.right], shown, window, lambda window: True, counted.append
    )
    assert sum(counted) == len(networks[0].grid.patches(window))
