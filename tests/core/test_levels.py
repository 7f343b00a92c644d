from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.levels import block_means, to_levels


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))))
def test_bytes_stay_as_they_are(image: np.ndarray) -> None:
    levels = to_levels(image.astype(np.float32))
    assert np.array_equal(levels.picture, image)
    assert levels.bit_depth == 8
    assert np.abs(levels.gray - image.mean(0)).max() < 1


@pytest.mark.parametrize(
    ("highest", "depth"),
    [(255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16384, 16), (65535, 16)],
)
def test_smallest_depth_that_holds_all(highest: int, depth: int) -> None:
    levels = to_levels(np.array([[[0, highest]]], np.float32))
    assert levels.bit_depth == depth
    assert (levels.low, levels.high) == (0, 2**depth - 1)
    assert levels.picture[0, 0, 1] == round(255 * highest / (2**depth - 1))


@pytest.mark.parametrize(
    ("values", "scale"),
    [((0.0, 0.5, 1.0), (0, 1)), ((0.2, 0.5, 0.7), (0, 1)), ((-3.0, 0.0, 5.0), (-3, 5)), ((-1, 0, 70000), (-1, 70000))],
)
def test_other_values_have_their_own_scale(values, scale) -> None:
    levels = to_levels(np.array([[values]]))
    assert levels.bit_depth is None
    assert (levels.low, levels.high) == scale


def test_constant_floats() -> None:
    levels = to_levels(np.full((1, 2, 2), -2.5))
    assert (levels.picture == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_named(value: float) -> None:
    image = np.ones((1, 4, 4), np.float32)
    image[0, 1, 2] = value
    with pytest.raises(UserError, match="1 values that are no numbers"):
        to_levels(image)


def test_no_pixels() -> None:
    with pytest.raises(UserError, match="no pixels"):
        to_levels(np.zeros((1, 0, 4)))


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))), st.integers(1, 8))
def test_block_means_agree_with_a_loop(picture: np.ndarray, side: int) -> None:
    height, width = picture.shape
    expected = [
        [picture[row : row + side, column : column + side].mean() for column in range(0, width, side)]
        for row in range(0, height, side)
    ]
    means = block_means(picture, side)
    assert np.allclose(means, expected)
    assert np.allclose(block_means(picture, side, whole=True), means[: height // side, : width // side])
