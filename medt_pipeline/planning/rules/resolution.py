"""Patch size and target resolution: the whole image in one patch where the device allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medt_pipeline.planning.decisions import Decision

SIDE_STEP = 32
"""Patch sides are multiples of this: four patches of the local branch with three halvings each."""


@dataclass(frozen=True)
class Resolution:
    """How images are seen in training.

    Attributes:
        patch_size: (height, width) in pixels at the target resolution.
        reduction: original pixels for one pixel at the target resolution, along both axes; 1 keeps the original.
    """

    patch_size: tuple[int, int]
    reduction: float


def choose_resolution(
    median_size: tuple[float, float], patch_pixels: int, max_reduction: float
) -> Decision[Resolution]:
    """Choose patch size and reduction for images of `median_size` (height, width).

    Images with more than `patch_pixels` pixels are reduced until one patch holds them whole, because attention over
    whole rows and columns is what the network is for; at most by `max_reduction`, beyond which patches hold a part.
    Images that are smaller keep their resolution.
    """
    height, width = median_size
    reduction = min(max(math.sqrt(height * width / patch_pixels), 1.0), max_reduction)
    whole = height * width / reduction**2 <= patch_pixels * 1.001
    fraction = 1.0 if whole else math.sqrt(patch_pixels * reduction**2 / (height * width))
    wanted = (height * fraction / reduction, width * fraction / reduction)
    patch = (_to_step(wanted[0]), _to_step(wanted[1]))
    if reduction > 1 and whole:
        # Rounding the sides moved them a little: the reduction follows, so that the whole image still fits.
        reduction = max(height / patch[0], width / patch[1], 1.0)
    seen = "the whole median image" if whole else f"{fraction:.0%} of each side of the median image"
    scale = "at its own resolution" if reduction == 1 else f"reduced {reduction:.2f} times"
    return Decision(
        "patch size and resolution",
        Resolution(patch, reduction),
        "resolution.choose_resolution",
        f"A patch of {patch[0]} × {patch[1]} shows {seen} {scale}, within {patch_pixels} pixels for this device.",
        {"median_size": [height, width], "patch_pixels": patch_pixels, "max_reduction": max_reduction},
    )


def _to_step(side: float) -> int:
    return max(round(side / SIDE_STEP), 1) * SIDE_STEP
