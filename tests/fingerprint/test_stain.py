from __future__ import annotations

import numpy as np
import pytest
from skimage.color import combine_stains, hed_from_rgb, rgb_from_hed

from medt_pipeline.demo.histology import Stain, draw_histology, draw_stain
from medt_pipeline.fingerprint.stain import angle_deg, measure_stain, optical_density

TRUE = rgb_from_hed[:2] / np.linalg.norm(rgb_from_hed[:2], axis=1, keepdims=True)


def mixed(rng: np.random.Generator, shape: tuple[int, int] = (150, 200), empty: float = 0.2) -> np.ndarray:
    """(3, H, W) uint8 of known stains, mixed by scikit-image: pure and mixed tissue, and empty slide above."""
    amounts = np.zeros((*shape, 3))
    amounts[..., 0] = rng.uniform(0, 0.12, shape) * (rng.random(shape) > 0.4)
    amounts[..., 1] = rng.uniform(0, 0.12, shape) * (rng.random(shape) > 0.4)
    amounts[: int(empty * shape[0])] = 0
    return (combine_stains(amounts, rgb_from_hed) * 255).round().astype(np.uint8).transpose(2, 0, 1)


def test_finds_the_stains_that_scikit_image_mixed() -> None:
    picture = mixed(np.random.default_rng(0))
    facts = measure_stain(picture)
    assert angle_deg(facts.haematoxylin, TRUE[0]) < 2
    assert angle_deg(facts.eosin, TRUE[1]) < 2
    assert facts.haematoxylin_reference_angle_deg < 2
    assert facts.eosin_reference_angle_deg < 2
    assert facts.stain_angle_deg == pytest.approx(angle_deg(*TRUE), abs=3)
    assert facts.background_level == pytest.approx(1, abs=0.03)
    assert np.linalg.norm(facts.haematoxylin) == pytest.approx(1)


def test_concentrations_agree_with_scikit_images_separation() -> None:
    picture = mixed(np.random.default_rng(1))
    facts = measure_stain(picture)
    density = -np.log10(np.maximum(picture, 1) / 255).reshape(3, -1).T
    tissue = density[density.mean(1) >= 0.15]
    expected = (tissue @ np.linalg.inv(np.vstack([TRUE, hed_third()])))[:, :2].mean(0)
    assert (facts.haematoxylin_mean, facts.eosin_mean) == pytest.approx(tuple(expected), rel=0.08)
    assert facts.tissue_share == pytest.approx(len(tissue) / picture[0].size, abs=0.02)


def hed_third() -> np.ndarray:
    """The direction that both stains leave out, as skimage's own residual."""
    assert hed_from_rgb.shape == (3, 3)
    return np.cross(*TRUE)


@pytest.mark.parametrize("seed", range(4))
def test_drawn_histology(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stain = draw_stain(rng)
    facts = measure_stain(draw_histology(rng, 160, 208, stain)[0].transpose(2, 0, 1))
    assert angle_deg(facts.haematoxylin, stain.haematoxylin) < 8
    assert angle_deg(facts.eosin, stain.eosin) < 12
    assert facts.haematoxylin[0] > facts.eosin[0]


def test_a_stronger_stain_has_higher_concentrations_and_the_same_direction() -> None:
    vectors = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))
    weak, strong = (
        measure_stain(
            draw_histology(np.random.default_rng(5), 160, 208, Stain(*vectors, strength, 245))[0].transpose(2, 0, 1)
        )
        for strength in (0.8, 1.25)
    )
    assert strong.haematoxylin_p99 / weak.haematoxylin_p99 == pytest.approx(1.25 / 0.8, rel=0.15)
    assert angle_deg(strong.haematoxylin, weak.haematoxylin) < 6


@pytest.mark.parametrize("level", [0, 20, 128, 255])
def test_constant_images_have_no_stains(level: int) -> None:
    facts = measure_stain(np.full((3, 32, 32), level, np.uint8))
    assert facts.haematoxylin is None
    assert facts.haematoxylin_mean is None
    assert facts.background_share == (level == 255)
    assert facts.tissue_share == (level < 200)


def test_one_hue_only_has_no_two_stains() -> None:
    amounts = np.zeros((40, 40, 3))
    amounts[..., 1] = np.linspace(0.02, 0.1, 1600).reshape(40, 40)
    one = (combine_stains(amounts, rgb_from_hed) * 255).transpose(2, 0, 1)
    facts = measure_stain(one.round().astype(np.uint8))
    # Rounding to whole levels is all that parts the directions.
    assert facts.haematoxylin is None or facts.stain_angle_deg < 8


@pytest.mark.parametrize("colour", [(120, 60, 140), (90, 90, 90)])
def test_noise_around_one_colour_is_no_stain(colour: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, (3, 60, 60))
    # Without variation in strength the noise alone makes the plane.
    noise -= noise.mean(0)
    facts = measure_stain((np.array(colour)[:, None, None] + noise).round().astype(np.uint8))
    assert facts.tissue_share == 1
    assert facts.haematoxylin is None


def test_too_little_tissue() -> None:
    picture = np.full((3, 100, 100), 250, np.uint8)
    picture[:, :1, :50] = np.array([120, 60, 140])[:, None, None]
    assert measure_stain(picture).eosin is None


def test_large_images_are_sampled_with_the_same_result() -> None:
    rng = np.random.default_rng(2)
    small = draw_histology(rng, 160, 208)[0].transpose(2, 0, 1)
    large = small.repeat(5, 1).repeat(5, 2)
    one, other = measure_stain(small), measure_stain(large)
    assert angle_deg(one.haematoxylin, other.haematoxylin) < 3
    assert angle_deg(one.eosin, other.eosin) < 3
    assert one.haematoxylin_mean == pytest.approx(other.haematoxylin_mean, rel=0.1)


def test_density() -> None:
    density = optical_density(np.array([[240, 24, 0], [250, 240, 24]]), np.array([240, 240, 240]))
    assert density == pytest.approx(np.array([[0, 1, np.log10(240)], [0, 0, 1]]))


def test_angles() -> None:
    assert angle_deg((1, 0, 0), (0, 2, 0)) == pytest.approx(90)
    assert angle_deg((1, 1, 0), (2, 2, 0)) == pytest.approx(0, abs=1e-6)
