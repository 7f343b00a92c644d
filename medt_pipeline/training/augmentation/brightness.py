"""Brightness above the black of an image, whatever its normalization."""

from __future__ import annotations

import torch


def scale_brightness(image: torch.Tensor, factor: torch.Tensor | float) -> torch.Tensor:
    """Multiply what lies above the minimum of each channel.

    Black, such as the surroundings of an ultrasound sector, has the lowest value of a normalised image and keeps it.
    So do pixels of exactly 0, with which nnU-Net fills what lies outside an image: in a z-scored image that is gray.

    Args:
        image: (C, H, W), any scale; unchanged.
        factor: broadcast over (C, H, W); at least 0.
    """
    black = image.amin(dim=(-2, -1), keepdim=True)
    return torch.where(image == 0, image, black + (image - black) * factor)
