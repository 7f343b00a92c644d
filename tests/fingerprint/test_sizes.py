from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.levels import to_levels
from medt_pipeline.fingerprint.sizes import SizeFacts, borders, coloured_share, measure_size

RNG = np.random.default_rng(0)


def facts_of(image: np.ndarray) -> SizeFacts:
    return measure_size(image, to_levels(image))


def noise(channels: int, height: int = 20, width: int = 30) -> np.ndarray:
    return RNG.integers(20, 200, (channels, height, width)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_size_and_channels(channels: int) -> None:
    facts = facts_of(noise(channels))
    assert (facts.height_px, facts.width_px, facts.aspect, facts.channels) == (20, 30, 1.5, channels)
    assert facts.is_gray == (channels == 1)
    assert (facts.coloured_share is None) == (channels != 3)
    assert not facts.is_constant
    assert facts.content_share == 1
    assert facts.border_level is None


def test_gray_as_rgb_with_a_few_coloured_markers_is_gray() -> None:
    image = np.repeat(noise(1), 3, axis=0)
    image[1] += 10  # as JPEG does
    assert facts_of(image).coloured_share == 0
    image[0, :2, :3] = 255
    image[2, :2, :3] = 0
    facts = facts_of(image)
    assert facts.coloured_share == pytest.approx(6 / 600)
    assert facts.is_gray


def test_colours_are_colours() -> None:
    assert not facts_of(noise(3)).is_gray


def test_tolerance_of_colour() -> None:
    picture = np.zeros((3, 1, 4), np.uint8)
    picture[0, 0] = 0, 16, 17, 200
    assert coloured_share(picture) == 0.5


def test_saturation_is_that_of_the_scale_in_use() -> None:
    image = np.full((1, 10, 10), 700.0)
    image[0, 0, :3], image[0, 1, :2] = 0, 1023
    facts = facts_of(image)
    assert (facts.bit_depth, facts.saturated_low_share, facts.saturated_high_share) == (10, 0.03, 0.02)


@given(*(st.integers(0, 5) for _ in range(4)), st.sampled_from([0, 255, 90]), st.sampled_from([1, 3]))
def test_drawn_borders_are_found(top, bottom, left, right, level, channels) -> None:
    image = np.full((channels, 14 + top + bottom, 11 + left + right), level, np.uint8)
    image[:, top : top + 14, left : left + 11] = np.random.default_rng(1).integers(100, 250, (channels, 14, 11))
    assert borders(image) == (top, bottom, left, right)


def test_border_level_and_content() -> None:
    image = noise(1)
    image[0, :5] = 255
    facts = facts_of(image)
    assert (facts.border_top_px, facts.border_level, facts.content_share) == (5, 1.0, 0.75)


@pytest.mark.parametrize("value", [0, 255, 40000])
def test_constant_images_have_no_borders(value: int) -> None:
    facts = facts_of(np.full((1, 16, 16), value, np.float32))
    assert facts.is_constant
    assert facts.border_level is None
    assert facts.content_share == 1
