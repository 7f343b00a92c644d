"""Gain and compression curve of an ultrasound image."""

from __future__ import annotations

import math

import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform

from medt_pipeline.training.augmentation.brightness import scale_brightness
from medt_pipeline.training.augmentation.draws import symmetric

DARKEST = 1e-6
"""Share of the brightest below which the curve is straight, so that black has a factor."""


def change_gain(image: torch.Tensor, gain: float, gamma: float) -> torch.Tensor:
    """Brightness above black, as a share b of the brightest, becomes gain · b ** gamma; nothing is clipped.

    Args:
        image: (C, H, W); an image of one value stays as it is.
        gain: above 0; 1 changes nothing.
        gamma: above 0; below 1 lifts the dark tones, as a wider dynamic range does.
    """
    black, brightest = image.amin((-2, -1), keepdim=True), image.amax((-2, -1), keepdim=True)
    share = ((image - black) / (brightest - black).clamp_min(torch.finfo(image.dtype).tiny)).clamp_min_(DARKEST)
    return scale_brightness(image, share.log_().mul_(gamma - 1).exp_().mul_(gain))


class GainTransform(ImageOnlyTransform):
    """Random gain and compression curve, the same in all channels.

    Args:
        gain_log: limit of |ln gain|.
        gamma_log: limit of |ln gamma|.
    """

    def __init__(self, gain_log: float, gamma_log: float) -> None:
        super().__init__()
        self.gain_log = gain_log
        self.gamma_log = gamma_log

    def get_parameters(self, **data_dict: object) -> dict[str, float]:
        """Draw gain and gamma."""
        return {"gain": math.exp(symmetric(self.gain_log)), "gamma": math.exp(symmetric(self.gamma_log))}

    def _apply_to_image(self, img: torch.Tensor, **params: float) -> torch.Tensor:
        return change_gain(img, **params)
