from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from medt_pipeline.network.heads import PyramidHeads


@pytest.mark.parametrize("size", [(24, 32), (19, 27)])
def test_each_level_adds_to_what_the_coarser_ones_say(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    sizes = [size]
    for _ in range(3):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    channels = [8, 16, 24, 32]
    maps = [torch.randn(2, count, *of_map) for count, of_map in zip(channels, sizes, strict=True)]
    heads = PyramidHeads(channels, 3)
    logits = heads(maps, True)
    assert [tuple(one.shape) for one in logits] == [(2, 3, *of_map) for of_map in sizes[:3]]
    assert heads.scales == 3
    torch.testing.assert_close(logits[2], heads.details[2](maps[2]))
    for fine in (0, 1):
        height, width = sizes[fine]
        enlarged = F.interpolate(logits[fine + 1], scale_factor=2, mode="bilinear", align_corners=False)
        added = logits[fine] - enlarged[..., :height, :width]
        torch.testing.assert_close(added, heads.details[fine](maps[fine]))
    assert torch.equal(heads(maps, False), logits[0])


def test_the_finest_logits_alone_train_every_head() -> None:
    heads = PyramidHeads([8, 16, 24, 32], 3)
    maps = [torch.randn(1, count, side, side) for count, side in ((8, 32), (16, 16), (24, 8), (32, 4))]
    heads(maps, False).square().sum().backward()
    assert all(detail.weight.grad is not None and detail.weight.grad.any() for detail in heads.details)
