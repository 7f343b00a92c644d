from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medt_pipeline.core.images import read_image
from medt_pipeline.inference.average import average_batch, average_members, mask_of
from medt_pipeline.inference.model_file import open_model_file
from medt_pipeline.inference.models import OpenModel, open_ensemble
from medt_pipeline.inference.packed_model import ensemble_in
from tests.conftest import Drawn


@pytest.fixture(scope="module")
def members(model_file: Path) -> tuple[OpenModel, ...]:
    return open_ensemble(ensemble_in(open_model_file(model_file)), torch.device("cpu"), mirror=False)


@pytest.fixture(scope="module")
def planes(trained: Drawn) -> np.ndarray:
    image = read_image(next((trained.source / "test" / "images").iterdir()))
    return image.transpose(2, 0, 1)[:, None].astype(np.float32)


def test_a_batch_gives_what_its_images_give_alone(members: tuple[OpenModel, ...], planes: np.ndarray) -> None:
    """Of several tiles, and one whose black border nnU-Net crops away, so that its size differs within."""
    wide = np.tile(planes, (1, 1, 1, 2))
    cropped = wide.copy()
    cropped[..., :30] = 0
    images = [wide, cropped, wide[..., ::-1]]
    for image, found in zip(images, average_batch(members, images), strict=True):
        alone = average_members(members, image)
        assert found.probabilities.shape == (2, 1, 64, 192)
        assert np.abs(found.probabilities - alone.probabilities).max() < 2e-3
        assert np.abs(found.mean_entropy - alone.mean_entropy).max() < 5e-3


def test_entropy_is_the_mean_of_the_folds_and_masks_are_small_integers(
    members: tuple[OpenModel, ...], planes: np.ndarray
) -> None:
    both = average_members(members, planes)
    folds = [OpenModel((one,), 1.0, "2d") for one in members[0].predictors]
    alone = [average_members([fold], planes) for fold in folds]
    assert np.allclose(both.probabilities, (alone[0].probabilities + alone[1].probabilities) / 2, atol=1e-6)
    assert np.allclose(both.mean_entropy, (alone[0].mean_entropy + alone[1].mean_entropy) / 2, atol=1e-6)
    mask = mask_of(members, None, both)
    assert (mask.shape, mask.dtype) == ((64, 96), np.uint8)
    assert np.array_equal(mask, both.probabilities[:, 0].argmax(0))
