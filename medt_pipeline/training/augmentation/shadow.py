"""An acoustic shadow: a soft dark wedge that runs downwards."""

from __future__ import annotations

import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform

from medt_pipeline.training.augmentation.brightness import scale_brightness
from medt_pipeline.training.augmentation.draws import symmetric, uniform

ONSET = 0.15
"""Depth over which a shadow sets in, in image heights."""
TOP, CENTRE, HALF_WIDTH, WIDENING, TILT = (0.0, 0.5), (0.05, 0.95), (0.03, 0.12), (0.0, 0.1), 0.2
"""Where shadows are drawn: as the arguments of `cast_shadow`."""
LIGHTEST = 0.3
"""Share of the limit that every drawn shadow has: a lighter one is none."""


def cast_shadow(
    image: torch.Tensor, top: float, centre: float, half_width: float, widening: float, tilt: float, darkness: float
) -> torch.Tensor:
    """Darken a wedge; no pixel gets brighter.

    Lengths along the depth are in image heights, across it in image widths.

    Args:
        image: (C, H, W), depth along H.
        top: depth from which the shadow falls; 0 is the first row.
        centre: its middle at the first row, 0 to 1.
        half_width: distance from its middle where the first row loses 63 % of `darkness`.
        widening: what is added to `half_width` at the last row.
        tilt: how far the middle moves sideways down to the last row.
        darkness: share of the brightness that is lost in its middle, 0 to 1; 0 changes nothing.
    """
    height, width = image.shape[-2:]
    y = torch.linspace(0, 1, height, dtype=image.dtype, device=image.device)[:, None]
    x = torch.linspace(0, 1, width, dtype=image.dtype, device=image.device)[None, :]
    # The fourth power makes a flat middle with soft edges.
    distance = ((x - centre - tilt * y) / (half_width + widening * y)).square_()
    across = distance.square_().neg_().exp_()
    along = ((y - top) / ONSET + 0.5).clamp(0, 1) if top > 0 else torch.ones_like(y)
    return scale_brightness(image, 1 - darkness * along * across)


class ShadowTransform(ImageOnlyTransform):
    """A shadow of random place, width, tilt and darkness.

    Args:
        darkness: limit of the share of brightness that is lost, 0 to 1.
    """

    def __init__(self, darkness: float) -> None:
        super().__init__()
        self.darkness = darkness

    def get_parameters(self, **data_dict: object) -> dict[str, float]:
        """Draw the arguments of `cast_shadow`."""
        return {
            "top": uniform(*TOP),
            "centre": uniform(*CENTRE),
            "half_width": uniform(*HALF_WIDTH),
            "widening": uniform(*WIDENING),
            "tilt": symmetric(TILT),
            "darkness": uniform(LIGHTEST * self.darkness, self.darkness),
        }

    def _apply_to_image(self, img: torch.Tensor, **params: float) -> torch.Tensor:
        return cast_shadow(img, **params)
