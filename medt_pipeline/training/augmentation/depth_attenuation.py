"""Brightness that falls or rises with depth, as attenuation and time gain compensation make it."""

from __future__ import annotations

import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform

from medt_pipeline.training.augmentation.brightness import scale_brightness
from medt_pipeline.training.augmentation.draws import symmetric


def attenuate_with_depth(image: torch.Tensor, slope: float) -> torch.Tensor:
    """Multiply brightness by exp(slope · (t − 1/2)), where t runs from 0 in the first row to 1 in the last.

    Args:
        image: (C, H, W), depth along H.
        slope: change of ln brightness over the image; negative darkens below. 0 changes nothing.
    """
    depth = torch.linspace(-0.5, 0.5, image.shape[-2], dtype=image.dtype, device=image.device)
    return scale_brightness(image, torch.exp(slope * depth)[:, None])


class DepthAttenuationTransform(ImageOnlyTransform):
    """Random change of brightness with depth.

    Args:
        slope: limit of the change of ln brightness from the first row to the last, on both sides.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def get_parameters(self, **data_dict: object) -> dict[str, float]:
        """Draw the slope."""
        return {"slope": symmetric(self.slope)}

    def _apply_to_image(self, img: torch.Tensor, **params: float) -> torch.Tensor:
        return attenuate_with_depth(img, **params)
