from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.exposure import adjust_gamma

from medt_pipeline.training.augmentation.gain import GainTransform, change_gain


@pytest.mark.parametrize(("gain", "gamma"), [(1.0, 1.0), (1.4, 1.0), (1.0, 0.7), (0.8, 1.3)])
def test_the_curve_is_scikit_images(gain: float, gamma: float) -> None:
    image = torch.rand(1, 20, 30)
    image[0, 0, :2] = torch.tensor([0.0, 1.0])
    expected = adjust_gamma(image.numpy(), gamma=gamma, gain=gain)
    assert np.abs(change_gain(image, gain, gamma).numpy() - expected).max() < 1e-5


def test_draws_stay_within_their_limits_on_both_sides() -> None:
    torch.manual_seed(0)
    draws = [GainTransform(0.4, 0.2).get_parameters() for _ in range(300)]
    gains, gammas = (np.log([draw[name] for draw in draws]) for name in ("gain", "gamma"))
    for values, limit in ((gains, 0.4), (gammas, 0.2)):
        assert -limit <= values.min() < -0.9 * limit
        assert 0.9 * limit < values.max() <= limit
