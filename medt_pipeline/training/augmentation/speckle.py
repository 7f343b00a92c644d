"""Speckle: multiplicative noise with the grain of an ultrasound image."""

from __future__ import annotations

import math
from typing import Any

import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform

from medt_pipeline.training.augmentation.brightness import scale_brightness
from medt_pipeline.training.augmentation.draws import uniform

RAYLEIGH_MEAN = math.sqrt(math.pi / 2)
"""Mean length of two independent standard normal numbers."""
AXIAL_GRAIN, LATERAL_GRAIN = (0.4, 1.0), (0.5, 1.8)
"""Standard deviation of the grain along depth and across it, in pixels of the patch: a beam is wider than its pulse is
long."""


def add_speckle(image: torch.Tensor, noise: torch.Tensor, grain: tuple[float, float], strength: float) -> torch.Tensor:
    """Multiply brightness by 1 + strength · (a − 1), with a Rayleigh distributed of mean 1, the same in all channels.

    The amplitude a is the length of a complex normal field that was smoothed to the grain (Goodman 1976).

    Args:
        image: (C, H, W).
        noise: (2, H, W), independent standard normal numbers: real and imaginary part.
        grain: standard deviations of the smoothing along H and W in pixels; 0 leaves pixels independent.
        strength: 0 to 1; 0 changes nothing, 1 is fully developed speckle.
    """
    amplitude = torch.hypot(*smooth_noise(noise, grain)) / RAYLEIGH_MEAN
    return scale_brightness(image, 1 + strength * (amplitude - 1))


def smooth_noise(noise: torch.Tensor, grain: tuple[float, float]) -> torch.Tensor:
    """`noise` (N, H, W) smoothed with Gaussians along H and W, at unchanged variance; edges wrap around."""
    for axis, sigma in zip((-2, -1), grain, strict=True):
        radius = min(math.ceil(3 * sigma), noise.shape[axis])
        if radius:
            kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
            weights = (kernel / torch.linalg.vector_norm(kernel)).tolist()
            side = noise.shape[axis]
            ends = noise.narrow(axis, side - radius, radius), noise.narrow(axis, 0, radius)
            wrapped = torch.cat((ends[0], noise, ends[1]), dim=axis)
            # Ten times as fast as a convolution, which torch does not vectorise for one channel.
            noise = torch.zeros_like(noise)
            for place, weight in enumerate(weights):
                noise.add_(wrapped.narrow(axis, place, side), alpha=weight)
    return noise


class SpeckleTransform(ImageOnlyTransform):
    """Speckle of random grain and strength.

    Args:
        strength: limit of the share of fully developed speckle, 0 to 1.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def get_parameters(self, **data_dict: Any) -> dict[str, Any]:
        """Draw grain, strength and the noise for the size of the image."""
        image: torch.Tensor = data_dict["image"]
        return {
            "noise": torch.randn(2, *image.shape[-2:], dtype=image.dtype, device=image.device),
            "grain": (uniform(*AXIAL_GRAIN), uniform(*LATERAL_GRAIN)),
            "strength": uniform(0, self.strength),
        }

    def _apply_to_image(self, img: torch.Tensor, **params: Any) -> torch.Tensor:
        return add_speckle(img, **params)
