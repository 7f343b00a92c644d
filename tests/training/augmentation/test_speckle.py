from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from medt_pipeline.training.augmentation.speckle import SpeckleTransform, add_speckle, smooth_noise


def field(grain: tuple[float, float], strength: float, size: int = 256) -> torch.Tensor:
    """The factor by which brightness is multiplied: (size, size − 1)."""
    image = torch.ones(1, size, size)
    image[..., 0] = 0
    noise = torch.randn(2, size, size, generator=torch.Generator().manual_seed(5))
    return add_speckle(image, noise, grain, strength)[0, :, 1:]


def test_full_speckle_is_rayleigh_distributed_with_mean_one() -> None:
    values = field((0.0, 0.0), 1.0).flatten().numpy()[::7]
    assert stats.kstest(values, stats.rayleigh(scale=math.sqrt(2 / math.pi)).cdf).pvalue > 0.01


@pytest.mark.parametrize("grain", [(0.0, 0.0), (0.7, 1.5), (2.0, 1.0)])
@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_mean_and_deviation_do_not_depend_on_the_grain(grain, strength) -> None:
    values = field(grain, strength)
    assert values.mean().item() == pytest.approx(1, abs=0.02 * max(strength, 0.3))
    assert values.std().item() == pytest.approx(strength * math.sqrt(4 / math.pi - 1), rel=0.04)
    assert values.min() >= 1 - strength - 1e-6


@pytest.mark.parametrize("grain", [(1.0, 1.6), (0.5, 0.0), (3.0, 3.0)])
def test_smoothing_is_scipys_at_unchanged_variance(grain) -> None:
    noise = torch.randn(2, 31, 40, dtype=torch.float64)
    smooth = smooth_noise(noise, grain).numpy()
    radius = [math.ceil(3 * sigma) for sigma in grain]
    expected = ndimage.gaussian_filter(noise.numpy(), (0, *grain), mode="wrap", radius=(0, *radius))
    ratio = smooth / expected
    assert np.allclose(ratio, ratio.mean(), rtol=1e-5)
    assert ratio.mean() > 1


def test_the_grain_is_wider_where_it_is_asked_to_be() -> None:
    values = field((0.6, 1.8), 1.0) - 1
    down = (values[1:] * values[:-1]).mean() / values.var()
    across = (values[:, 1:] * values[:, :-1]).mean() / values.var()
    assert across > down + 0.2
    assert abs((values[12:] * values[:-12]).mean() / values.var()) < 0.05


def test_no_strength_changes_nothing_and_small_images_work() -> None:
    image = torch.rand(3, 4, 5)
    assert torch.allclose(SpeckleTransform(0.0)(image=image.clone())["image"], image)
    assert SpeckleTransform(1.0)(image=image.clone())["image"].shape == image.shape
