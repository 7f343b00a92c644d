"""CutMix exchanges the same rectangle in images and labels of every resolution, and nothing else."""

from __future__ import annotations

import pytest
import torch

from medt_pipeline.planning.rules.augmentation import AugmentationPolicy
from medt_pipeline.training.augmentation.cutmix import SHARE, cut_and_mix

ALWAYS = AugmentationPolicy(cutmix_probability=1.0)


def numbered(strides: list[tuple[int, int]], height: int = 48, width: int = 80) -> dict:
    """Three patches whose pixels and labels tell which patch they are of."""

    def maps(channels: int, by: tuple[int, int]) -> torch.Tensor:
        return torch.arange(3.0).view(3, 1, 1, 1).expand(3, channels, height // by[0], width // by[1]).clone()

    return {"data": maps(2, (1, 1)), "target": [maps(1, by) for by in strides], "keys": ["a", "b", "c"]}


@pytest.mark.parametrize("strides", [[(1, 1)], [(1, 1), (2, 2), (4, 4), (8, 8)], [(1, 1), (1, 2), (2, 4)]])
@pytest.mark.parametrize("seed", range(5))
def test_labels_follow_their_pixels_at_every_resolution(strides: list[tuple[int, int]], seed: int) -> None:
    torch.manual_seed(seed)
    batch = numbered(strides)
    mixed = cut_and_mix(batch, ALWAYS)
    for (down, right), target in zip(strides, mixed["target"], strict=True):
        # Every pixel of a coarse label stands for pixels of one patch.
        assert torch.equal(mixed["data"][:, :1], target.repeat_interleave(down, 2).repeat_interleave(right, 3))
    assert torch.equal(mixed["data"][:, 0], mixed["data"][:, 1])
    for patch in range(3):
        other = mixed["data"][patch, 0] == (patch - 1) % 3
        assert torch.equal(mixed["data"][patch, 0] == patch, ~other)
        rows, columns = other.any(1).nonzero().ravel(), other.any(0).nonzero().ravel()
        assert other.sum() == len(rows) * len(columns) == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert SHARE[0] - 0.12 < other.float().mean() < SHARE[1] + 0.12
    assert mixed["keys"] == batch["keys"]
    assert torch.equal(batch["data"], numbered(strides)["data"])


def test_a_single_target_stays_one_and_a_single_patch_what_it_is() -> None:
    batch = numbered([(1, 1)])
    batch["target"] = batch["target"][0]
    mixed = cut_and_mix(batch, ALWAYS)
    assert torch.equal(mixed["target"], mixed["data"][:, :1])
    alone = {"data": torch.rand(1, 3, 32, 32), "target": torch.rand(1, 1, 32, 32)}
    assert torch.equal(cut_and_mix(alone, ALWAYS)["data"], alone["data"])


def test_without_it_no_number_is_drawn() -> None:
    batch, before = numbered([(1, 1)]), torch.get_rng_state()
    assert cut_and_mix(batch, AugmentationPolicy()) is batch
    assert cut_and_mix(batch, None) is batch
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_as_frequent_as_the_policy_says() -> None:
    torch.manual_seed(0)
    batch, policy = numbered([(1, 1)]), AugmentationPolicy(cutmix_probability=0.25)
    assert 60 < sum(cut_and_mix(batch, policy) is not batch for _ in range(400)) < 140


@pytest.mark.parametrize("side", [17, 36, 100])
def test_sides_that_the_coarsest_stride_does_not_divide(side: int) -> None:
    data = torch.rand(2, 1, side, side)
    targets = [torch.rand(2, 1, round(side / by), round(side / by)) for by in (1, 2, 4, 8)]
    mixed = cut_and_mix({"data": data, "target": targets}, ALWAYS)
    assert [one.shape for one in mixed["target"]] == [one.shape for one in targets]
    assert not torch.equal(mixed["data"], data)
