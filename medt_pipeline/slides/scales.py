"""At which scale a slide is read: that of the training images, where both are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.slides import SAME_SCALE, Slide


@dataclass(frozen=True)
class Scale:
    """How a slide is read.

    Attributes:
        factor: pixels of level 0 for one pixel that the model sees as one of its training images.
        microns_per_pixel: of the latter; None where nothing tells it.
        sentence: what was decided, and from what.
    """

    factor: float
    microns_per_pixel: float | None
    sentence: str


def choose_scale(slide: Slide, told: float | None, of_training: float | None) -> Scale:
    """Choose the scale.

    Args:
        told: micrometres a pixel of level 0 that the user tells, which the file's own give way to.
        of_training: micrometres a pixel of the training images.

    Raises:
        UserError: the training images have a size that the slide's pixels cannot be compared with, or they would be
            enlarged or reduced more than 64 times.
    """
    name = slide.path.name
    level_0 = told or slide.microns_per_pixel
    if of_training is None:
        at = "of unknown size" if level_0 is None else f"of {level_0:.4g} µm"
        return Scale(
            1.0,
            level_0,
            f"{name} is read at level 0 (pixels {at}), since the model does not know the pixel size of its training "
            "images; --training-microns-per-pixel tells it.",
        )
    if level_0 is None:
        raise UserError(
            f"{slide.path} does not tell the size of its pixels, but the model was trained at {of_training:.4g} µm a "
            "pixel; give it with --microns-per-pixel."
        )
    factor = of_training / level_0
    if not 1 / LARGEST_FACTOR <= factor <= LARGEST_FACTOR:
        raise UserError(
            f"{name} has {level_0:.4g} µm a pixel and the training images {of_training:.4g}, which is too far apart; "
            "check --microns-per-pixel and --training-microns-per-pixel."
        )
    if math.isclose(factor, 1.0, rel_tol=SAME_SCALE):
        factor = 1.0
    return Scale(
        factor,
        of_training,
        f"{name} is read at {of_training:.4g} µm a pixel, as the model was trained ({level_0:.4g} at level 0).",
    )


LARGEST_FACTOR = 64.0
"""A slide at 40× has 0.25 µm a pixel; 16 µm is a thumbnail."""
