"""Stain jitter: other concentrations and hues of haematoxylin and eosin, in optical density."""

from __future__ import annotations

import math
from typing import Any

import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform

from medt_pipeline.training.augmentation.draws import symmetric

DARKEST = 1 / 255
"""Below this level the density is that of this level: an 8-bit camera sees no deeper."""


def jitter_stains(
    image: torch.Tensor, stains: torch.Tensor, target: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor:
    """Stain a slide otherwise (HED jitter, Tellez et al. 2018, in the plane of two stains).

    By the law of Beer and Lambert, the decadic density −log10(level) of a pixel is c @ stains plus a rest that no stain
    explains, c being the least-squares concentrations or 0 where they are negative: there is no less than no stain. It
    becomes (scale · c + shift) @ target plus the same rest.

    Args:
        image: (3, H, W), levels of red, green and blue with 0 as black and 1 as white (RGB over 255).
        stains: (2, 3), densities at concentration 1.
        target: (2, 3), the same for the new stains; `stains` keeps their hues.
        scale: (2,), factors on the concentrations; 1 changes nothing.
        shift: (2,), densities that are added; 0 changes nothing.

    Returns:
        (3, H, W), 0 to 1: what would be brighter than white is white. Black, such as padding, stays black.
    """
    pixels = image.flatten(1)
    density = -torch.log10(pixels.clamp(DARKEST, 1))
    concentrations = (torch.linalg.pinv(stains).T @ density).clamp_min_(0)
    added = (scale[:, None] * target - stains).T @ concentrations + (shift @ target)[:, None]
    return (pixels * torch.exp2(added.mul_(-math.log2(10)))).clamp_(0, 1).view_as(image)


def turn_vectors(vectors: torch.Tensor, directions: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turn each of `vectors` (N, 3) by its angle (N,) in radians towards its direction (N, 3); lengths stay.

    A direction along its vector, which tells no way to turn, leaves the vector as it is.
    """
    units = torch.nn.functional.normalize(vectors, dim=1)
    across = directions - units * (directions * units).sum(1, keepdim=True)
    across = torch.nn.functional.normalize(across, dim=1) * vectors.norm(dim=1, keepdim=True)
    return vectors * torch.cos(angles)[:, None] + across * torch.sin(angles)[:, None]


class StainJitterTransform(ImageOnlyTransform):
    """Random concentrations and hues of two stains, for images normalised to 0 to 1 by nnU-Net's RGBTo01Normalization.

    Args:
        stains: densities of red, green and blue at concentration 1, of two stains.
        scale: limit of |ln factor| of each stain.
        shift: limit of what is added to a concentration.
        angle_deg: limit of the angle by which a stain turns.
    """

    def __init__(
        self, stains: tuple[tuple[float, ...], ...], scale: tuple[float, float], shift: float, angle_deg: float
    ) -> None:
        super().__init__()
        self.stains = stains
        self.scale = scale
        self.shift = shift
        self.angle_deg = angle_deg

    def get_parameters(self, **data_dict: Any) -> dict[str, torch.Tensor]:
        """Draw new stains with their factors and shifts."""
        image: torch.Tensor = data_dict["image"]
        stains = torch.tensor(self.stains, dtype=torch.float32)
        angles = torch.tensor([math.radians(symmetric(self.angle_deg)) for _ in range(2)])
        drawn = {
            "stains": stains,
            "target": turn_vectors(stains, torch.randn(2, 3), angles),
            "scale": torch.tensor([math.exp(symmetric(limit)) for limit in self.scale]),
            "shift": torch.tensor([symmetric(self.shift) for _ in range(2)]),
        }
        return {name: value.to(image) for name, value in drawn.items()}

    def _apply_to_image(self, img: torch.Tensor, **params: torch.Tensor) -> torch.Tensor:
        return jitter_stains(img, **params)
