from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw
from scipy import ndimage

from medt_pipeline.demo.ultrasound import draw_ultrasound
from medt_pipeline.fingerprint.ultrasound import (
    MARK_LEVEL,
    depth_slope,
    find_marks,
    find_sector,
    measure_ultrasound,
    speckle_snr,
    upper_half_excess,
)


def speckle(shape: tuple[int, int], level: float = 90, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    return (level + 25 * smooth / smooth.std()).clip(20, 230).astype(np.uint8)


def fan(height: int = 300, width: int = 400, half_angle: float = 0.6) -> np.ndarray:
    """(H, W) bool: a sector around an apex 60 pixels above the image, from radius 80 to 350."""
    rows, columns = np.indices((height, width))
    down, right = rows + 60, columns - width / 2
    radius = np.hypot(down, right)
    return (np.abs(np.arctan2(right, down)) < half_angle) & (radius > 80) & (radius < 350)


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("half_angle", [0.3, 0.45, 0.6])
def test_a_drawn_fan(half_angle: float) -> None:
    truth = fan(half_angle=half_angle)
    gray = np.where(truth, speckle(truth.shape), 0).astype(np.uint8)
    assert agreement(find_sector(gray), truth) > 0.97
    facts = measure_ultrasound(gray)
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    box = (facts.sector_top_px, facts.sector_bottom_px - 1, facts.sector_left_px, facts.sector_right_px - 1)
    assert box == pytest.approx((rows[0], rows[-1], columns[0], columns[-1]), abs=5)
    assert facts.sector_shape == "fan"
    assert facts.sector_share == pytest.approx(truth.mean(), abs=0.01)
    assert facts.gain == pytest.approx(gray[truth].mean() / 255, abs=0.01)
    assert not facts.has_marks


def test_a_rectangle_in_black() -> None:
    gray = np.zeros((300, 400), np.uint8)
    gray[40:260, 50:350] = speckle((220, 300))
    facts = measure_ultrasound(gray)
    assert facts.sector_shape == "rectangle"
    assert facts.sector_fill > 0.97
    assert (facts.sector_top_px, facts.sector_bottom_px) == pytest.approx((40, 260), abs=2)


def test_a_rectangle_that_is_dark_below_is_no_fan() -> None:
    gray = speckle((300, 400))
    gray[200:, 100:] = 0
    facts = measure_ultrasound(gray)
    assert facts.sector_fill < 0.85
    assert facts.sector_shape == "rectangle"


def test_a_full_image_is_a_rectangle() -> None:
    facts = measure_ultrasound(speckle((120, 90)))
    assert (facts.sector_share, facts.sector_fill, facts.sector_shape) == (1, 1, "rectangle")


def test_cysts_belong_to_the_sector_and_texts_outside_do_not() -> None:
    truth = fan()
    gray = np.where(truth, speckle(truth.shape), 0).astype(np.uint8)
    gray[150:200, 170:230] = 0
    picture = Image.fromarray(gray)
    ImageDraw.Draw(picture).text((5, 5), "LEFT BREAST 12", fill=255)
    assert agreement(find_sector(np.asarray(picture)), truth) > 0.97


@pytest.mark.parametrize("seed", range(3))
def test_drawn_ultrasound(seed: int) -> None:
    image, _ = draw_ultrasound(np.random.default_rng(seed), 160, 208)
    facts = measure_ultrasound(image)
    assert facts.sector_shape == "fan"
    assert facts.depth_slope < 0
    assert facts.upper_half_excess > 0
    assert facts.speckle_snr > 1


@pytest.mark.parametrize("place", [(5, 5), (150, 140)])
def test_burned_in_text_is_found_outside_and_inside(place: tuple[int, int]) -> None:
    truth = fan()
    gray = np.where(truth, speckle(truth.shape), 0).astype(np.uint8)
    assert not find_marks(gray).any()
    picture = Image.fromarray(gray)
    ImageDraw.Draw(picture).text(place, "RT AXILLA", fill=255)
    # Pale rims of letters do not count.
    written = (np.asarray(picture) != gray) & (np.asarray(picture) >= MARK_LEVEL)
    found = find_marks(np.asarray(picture))
    assert agreement(found, written) > 0.7
    assert measure_ultrasound(np.asarray(picture)).has_marks


def test_bright_layers_are_no_marks() -> None:
    gray = speckle((200, 200), 60)
    gray[100:103] = 250
    gray[:, :30] = 0
    assert not measure_ultrasound(gray).has_marks


def test_coloured_pixels_are_marks_and_no_tissue() -> None:
    gray = speckle((100, 100), 60)
    coloured = np.zeros(gray.shape, bool)
    coloured[10:20, 10:20] = True
    gray[coloured] = 170
    facts = measure_ultrasound(gray, coloured)
    assert facts.has_marks
    assert facts.marks_share == 0.01
    assert facts.gain == pytest.approx(gray[~coloured].mean() / 255)


@pytest.mark.parametrize("slope", [-2.0, 0.0, 1.5])
def test_known_slope(slope: float) -> None:
    depth = np.linspace(0, 1, 200, endpoint=False)
    level = 60 * np.exp(slope * depth)
    counts = np.full(200, 50)
    # The level that is added to every mean flattens a steep slope a little.
    assert depth_slope(counts, counts * level) == pytest.approx(slope, rel=0.05, abs=1e-9)
    excess = upper_half_excess(counts, counts * level)
    assert np.sign(excess) == -np.sign(slope)
    assert excess == pytest.approx(np.tanh(-slope / 4), abs=0.01)


def test_speckle_of_known_distribution() -> None:
    """Uncorrelated Rayleigh amplitudes have a mean of 1.91 standard deviations."""
    amplitude = np.random.default_rng(0).rayleigh(40, (400, 400)).clip(0, 255).astype(np.uint8)
    everywhere = np.ones(amplitude.shape, bool)
    assert speckle_snr(amplitude, everywhere) == pytest.approx(1.91, abs=0.05)
    assert speckle_snr(amplitude, ~everywhere) is None
    assert speckle_snr(np.full((40, 40), 90, np.uint8), np.ones((40, 40), bool)) is None


def test_windows_cross_no_edge_of_the_sector() -> None:
    gray = np.where(np.arange(80)[:, None] < 43, speckle((80, 80)), 0).astype(np.uint8)
    inside = speckle_snr(gray, gray > 0)
    assert inside == pytest.approx(speckle_snr(gray[:40], gray[:40] > 0))


def test_a_black_image_has_no_sector() -> None:
    facts = measure_ultrasound(np.zeros((16, 16), np.uint8))
    assert (facts.sector_share, facts.sector_shape) == (0, "none")
    assert facts.gain is facts.depth_slope is facts.speckle_snr is facts.upper_half_excess is None


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_any_small_image_can_be_measured(gray: np.ndarray) -> None:
    facts = measure_ultrasound(gray)
    assert 0 <= facts.sector_share <= 1
    assert facts.gain is None or 0 <= facts.gain <= 1
    assert facts.upper_half_excess is None or -1 <= facts.upper_half_excess <= 1
