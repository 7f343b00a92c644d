from __future__ import annotations

import numpy as np
import torch

from medt_pipeline.fingerprint.ultrasound import measure_ultrasound
from medt_pipeline.training.augmentation.depth_attenuation import DepthAttenuationTransform, attenuate_with_depth


def test_the_fingerprint_measures_the_slope() -> None:
    image = torch.full((1, 256, 256), 0.4)
    image[..., 0] = 0
    darker = attenuate_with_depth(image, -0.8)
    picture = np.round(darker[0].numpy() * 255).astype(np.uint8)
    slope = measure_ultrasound(picture).depth_slope
    assert slope is not None
    assert abs(slope - -0.8) < 0.03
    assert torch.allclose(darker[0, :, 1:].log().mean(), torch.tensor(0.4).log(), atol=1e-5)


def test_columns_are_treated_alike_and_both_signs_are_drawn() -> None:
    image = torch.ones(1, 10, 6)
    image[..., 0] = 0
    changed = attenuate_with_depth(image, 0.5)
    assert torch.equal(changed[..., 1:], changed[..., 1:2].expand(1, 10, 5))
    torch.manual_seed(0)
    slopes = [DepthAttenuationTransform(0.6).get_parameters()["slope"] for _ in range(200)]
    assert -0.6 <= min(slopes) < -0.5
    assert 0.5 < max(slopes) <= 0.6
