from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from medt_pipeline.training.augmentation.depth_attenuation import DepthAttenuationTransform
from medt_pipeline.training.augmentation.gain import GainTransform
from medt_pipeline.training.augmentation.shadow import ShadowTransform
from medt_pipeline.training.augmentation.speckle import SpeckleTransform

ULTRASOUND = [
    GainTransform(0.4, 0.3),
    DepthAttenuationTransform(0.6),
    ShadowTransform(0.7),
    SpeckleTransform(0.3),
]


@pytest.fixture(params=ULTRASOUND, ids=lambda transform: type(transform).__name__)
def ultrasound_transform(request: pytest.FixtureRequest):
    """Each of the transforms for ultrasound."""
    return request.param


@pytest.fixture
def sector() -> Callable[..., torch.Tensor]:
    """`sector(channels, z_scored)`: bright noise (C, 40, 52) with black around columns 8 to 43, equal channels."""

    def draw(channels: int = 1, z_scored: bool = False) -> torch.Tensor:
        image = torch.zeros(1, 40, 52)
        image[..., 8:44] = 0.2 + 0.8 * torch.rand(1, 40, 36, generator=torch.Generator().manual_seed(1))
        if z_scored:
            image = (image - image.mean()) / image.std()
        return image.repeat(channels, 1, 1)

    return draw
