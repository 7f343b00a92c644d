"""The network's pixels and patches are those that nnU-Net lays over one image as large as the slide."""

from __future__ import annotations

import numpy as np
import pytest
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape, resample_data_or_seg_to_shape

from medt_pipeline.core.slides import Window
from medt_pipeline.slides.network_grid import SPLINE_MARGIN, NetworkGrid
from tests.slides.stand_in import stand_in

SPACINGS = [(1.0, 1.0), (1.7, 1.7), (2.0, 3.1)]


def smooth(size: tuple[int, int]) -> np.ndarray:
    """Waves from 0 to 255: nnU-Net cuts what a spline overshoots to the image's own range."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = [127.5 + 127.5 * np.sin(rows / a + columns / b) for a, b in ((5, 9), (3, 4), (11, 2))]
    return np.stack(waves, -1).round().astype(np.uint8)


def of_nnunet(planes: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    """As the plans say: slice by slice, order 3 for images and 1 for logits."""
    data = planes[:, None].astype(np.float32)
    return resample_data_or_seg_to_shape(data, (1, *shape), (999, 1, 1), (999, 2, 2), False, order, 0, None)[:, 0]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("size", [(181, 240), (90, 77)])
def test_sizes_are_those_of_nnunet(spacing: tuple[float, float], size: tuple[int, int]) -> None:
    grid = NetworkGrid(size, spacing, (64, 64))
    assert grid.network_size == tuple(compute_new_shape((1, *size), (999, 1, 1), (999, *spacing))[1:])


@pytest.mark.parametrize("spacing", SPACINGS)
def test_any_window_of_the_image_is_resampled_as_nnunet_does_with_the_whole(spacing: tuple[float, float]) -> None:
    picture = smooth((181, 240))
    grid = NetworkGrid((181, 240), spacing, (32, 32))
    whole = of_nnunet(picture.transpose(2, 0, 1), grid.network_size, 3)
    height, width = grid.network_size
    for window in (Window(0, 0, height, width), Window(20, 30, 41, 60), Window(height - 9, width - 8, height, width)):
        shown = grid.image_window(window, SPLINE_MARGIN)
        planes = grid.to_network(picture[shown.top : shown.bottom, shown.left : shown.right], shown, window)
        assert np.abs(planes - whole[:, window.top : window.bottom, window.left : window.right]).max() < 0.01


@pytest.mark.parametrize("spacing", SPACINGS)
def test_any_window_of_logits_is_resampled_as_nnunet_does_with_the_whole(spacing: tuple[float, float]) -> None:
    grid = NetworkGrid((181, 240), spacing, (32, 32))
    logits = np.random.default_rng(0).normal(size=(2, *grid.network_size)).astype(np.float32)
    whole = of_nnunet(logits, grid.size, 1)
    for window in (Window(0, 0, 181, 240), Window(17, 33, 90, 150), Window(180, 239, 181, 240), Window(0, 0, 1, 1)):
        shown = grid.network_window(window)
        part = logits[:, shown.top : shown.bottom, shown.left : shown.right]
        found = grid.to_image(part, shown, window)
        assert found.shape[1:] == window.shape
        assert np.abs(found - whole[:, window.top : window.bottom, window.left : window.right]).max() < 1e-4


@pytest.mark.parametrize("size", [(181, 240), (64, 64), (20, 300), (33, 47)])
def test_patches_are_those_of_nnunet(size: tuple[int, int]) -> None:
    patch = (64, 48)
    grid = NetworkGrid(size, (1.0, 1.0), patch)
    predictor = stand_in(patch).members[0].predictors[0]
    padded = tuple(max(pair) for pair in zip(size, patch, strict=True))
    before = [(wide - side) // 2 for wide, side in zip(padded, size, strict=True)]
    expected = {
        (rows.start - before[0], columns.start - before[1])
        for _, _, rows, columns in predictor._internal_get_sliding_window_slicers((1, *padded))
    }
    found = grid.patches(Window(0, 0, *size))
    assert {(one.top, one.left) for one in found} == expected
    assert {one.shape for one in found} == {patch}


def test_only_patches_that_share_pixels_with_a_window_are_given() -> None:
    grid = NetworkGrid((400, 400), (1.0, 1.0), (64, 64))
    window = Window(100, 200, 101, 201)
    near = grid.patches(window)
    every = grid.patches(Window(0, 0, 400, 400))
    assert near == [one for one in every if one.top <= 100 < one.bottom and one.left <= 200 < one.right]
    assert len(near) == 4
