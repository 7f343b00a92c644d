from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import hed2rgb, rgb2hed

from medt_pipeline.demo.histology import draw_histology
from medt_pipeline.training.augmentation.stain_jitter import StainJitterTransform, jitter_stains, turn_vectors

HE = torch.tensor([(0.65, 0.70, 0.29), (0.07, 0.99, 0.11)], dtype=torch.float64)
ONES, ZEROS = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)


def _reference_jitter(image: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """HED jitter by scikit-image, whose concentrations are decadic ones over 6 (its logarithm has the base 1e-6)."""
    hed = rgb2hed(image)
    hed[..., :2] = hed[..., :2] * scale + shift / 6
    return hed2rgb(hed)


def stained(rng: np.random.Generator) -> np.ndarray:
    """(16, 20, 3) with haematoxylin and eosin only."""
    hed = np.zeros((16, 20, 3))
    hed[..., :2] = rng.uniform(0.02, 0.1, (16, 20, 2))
    return hed2rgb(hed)


def as_planes(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@pytest.mark.parametrize("scale", [(1.0, 1.0), (1.3, 1.0), (1.0, 0.7), (0.8, 1.25)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.05, -0.03)])
def test_known_stains_are_scaled_and_shifted_as_scikit_image_does(scale, shift) -> None:
    image = stained(np.random.default_rng(0))
    jittered = jitter_stains(
        as_planes(image), HE, HE, torch.tensor(scale, dtype=torch.float64), torch.tensor(shift, dtype=torch.float64)
    )
    expected = _reference_jitter(image, np.array(scale), np.array(shift))
    assert np.abs(jittered.numpy().transpose(1, 2, 0) - expected).max() < 1e-6


def test_a_new_hue_is_that_of_the_target() -> None:
    target = turn_vectors(HE, torch.eye(3, dtype=torch.float64)[:2], torch.tensor([0.1, -0.05], dtype=torch.float64))
    concentrations = torch.rand(2, 50, dtype=torch.float64)
    before = 10 ** -(HE.T @ concentrations).view(3, 5, 10)
    after = 10 ** -(target.T @ concentrations).view(3, 5, 10)
    assert torch.allclose(jitter_stains(before, HE, target, ONES, ZEROS), after.clamp(0, 1))


def test_no_strength_changes_nothing_and_what_no_stain_explains_is_kept() -> None:
    image = torch.from_numpy(draw_histology(np.random.default_rng(1), 64, 80)[0].transpose(2, 0, 1) / 255)
    assert torch.allclose(jitter_stains(image, HE, HE, ONES, ZEROS), image, atol=1e-12)
    rest = torch.linalg.cross(HE[0], HE[1])
    scale = torch.tensor([1.4, 0.8], dtype=torch.float64)
    jittered = jitter_stains(image, HE, HE, scale, ZEROS)
    inside = (jittered > 0.02) & (jittered < 1)
    inside = inside.all(0)
    before, after = (torch.tensordot(rest, -torch.log10(one), 1)[inside] for one in (image, jittered))
    assert torch.allclose(before, after, atol=1e-9)


def test_black_stays_black_and_nothing_gets_brighter_than_white() -> None:
    image = torch.ones(3, 8, 8)
    image[:, :4] = 0
    jittered = jitter_stains(image, HE.float(), HE.float(), torch.tensor([1.5, 1.5]), torch.tensor([-0.1, -0.1]))
    assert torch.equal(jittered, image)


def test_vectors_turn_by_their_angle() -> None:
    angles = torch.tensor([0.2, 0.03], dtype=torch.float64)
    turned = turn_vectors(3 * HE, torch.randn(2, 3, dtype=torch.float64), angles)
    cosines = torch.nn.functional.cosine_similarity(turned, HE)
    assert torch.allclose(torch.arccos(cosines), angles, atol=1e-6)
    assert torch.allclose(turned.norm(dim=1), 3 * HE.norm(dim=1))
    assert torch.allclose(turn_vectors(HE, HE, torch.zeros(2, dtype=torch.float64)), HE)


def test_draws_stay_within_their_limits_and_follow_the_seed() -> None:
    transform = StainJitterTransform(tuple(map(tuple, HE.tolist())), (0.3, 0.1), 0.02, 5.0)
    image = torch.rand(3, 33, 47)
    torch.manual_seed(4)
    draws = [transform.get_parameters(image=image) for _ in range(200)]
    factors = torch.stack([draw["scale"] for draw in draws]).log().abs().amax(0)
    assert torch.all(factors <= torch.tensor([0.3, 0.1]) + 1e-6)
    assert torch.all(factors > torch.tensor([0.25, 0.08]))
    assert max(draw["shift"].abs().max() for draw in draws) <= 0.02
    cosines = torch.stack([torch.nn.functional.cosine_similarity(draw["target"], HE.float()) for draw in draws])
    assert torch.rad2deg(torch.arccos(cosines.clamp(max=1))).max() < 5.1
    torch.manual_seed(4)
    first = transform.get_parameters(image=image)
    assert all(torch.equal(first[name], draws[0][name]) for name in first)


def test_image_only_keeps_shape_type_and_segmentation() -> None:
    transform = StainJitterTransform(tuple(map(tuple, HE.tolist())), (0.3, 0.3), 0.02, 5.0)
    image, labels = torch.rand(3, 33, 47), torch.randint(0, 2, (1, 33, 47))
    result = transform(image=image.clone(), segmentation=labels)
    assert result["image"].shape == image.shape
    assert result["image"].dtype == torch.float32
    assert torch.equal(result["segmentation"], labels)
    assert not torch.equal(result["image"], image)
