"""The family that the pipeline trains: convolutional stem, gated axial attention from stride 4 down, U-Net decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from medt_pipeline.network.heads import SegmentationHeads
from medt_pipeline.network.hybrid_blocks import (
    Attention,
    BlockOptions,
    Gates,
    HybridBlock,
    NormalisedConv,
    run,
)
from medt_pipeline.network.normalisation import Norm
from medt_pipeline.network.topology import Size, lattices

STEM_LEVELS = 2
"""Levels of two convolutions each, at strides 1 and 2, before those with attention."""


@dataclass(frozen=True)
class NetworkSize:
    """Widths and depths of a network.

    Attributes:
        widths: channels at strides 1, 2, 4, 8 and 16.
        blocks: blocks with attention at strides 4, 8 and 16.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]


SIZES = {
    "S": NetworkSize((8, 16, 32, 64, 128), (1, 2, 2)),
    "M": NetworkSize((16, 32, 64, 128, 256), (1, 2, 2)),
    "L": NetworkSize((32, 64, 128, 256, 512), (1, 2, 2)),
}


class HybridEncoder(nn.Module):
    """Stem and levels of blocks.

    Args:
        input_channels: channels of the image.
        size: widths and blocks, at least as many as there are levels.
        sizes: (height, width) of the map of each level, for which the relative tables are made.
        stochastic_depth: probability of the last block to be passed by in training; it grows with depth.
        options: what all blocks have in common.
    """

    def __init__(
        self,
        input_channels: int,
        size: NetworkSize,
        sizes: Sequence[Size],
        stochastic_depth: float,
        options: BlockOptions,
    ) -> None:
        super().__init__()
        self.recompute = options.recompute
        self.levels = nn.ModuleList()
        blocks = size.blocks[: len(sizes) - STEM_LEVELS]
        drops = iter(torch.linspace(0, stochastic_depth, sum(blocks)).tolist())
        channels = input_channels
        for level, (width, lattice) in enumerate(zip(size.widths, sizes, strict=False)):
            stride = 2 if level else 1
            in_stem = level < STEM_LEVELS
            chain = nn.ModuleList([NormalisedConv(channels, width, options.norm, stride, activate=in_stem)])
            if in_stem:
                chain.append(NormalisedConv(width, width, options.norm))
            else:
                count = blocks[level - STEM_LEVELS]
                chain.extend(HybridBlock(width, lattice, next(drops), options) for _ in range(count))
            self.levels.append(chain)
            channels = width

    def forward(self, x: Tensor, patches: int = 1) -> list[Tensor]:
        """(cases × patches, input_channels, H, W) → the map of each level, finest first."""
        maps = []
        for level in self.levels:
            for part in level.children():
                x = run(part, self.recompute, x, patches)
            maps.append(x)
        return maps


class DecoderLevel(nn.Module):
    """Enlarge a map twofold, join it with a finer one, and convolve twice."""

    def __init__(self, coarse_channels: int, channels: int, norm: Norm) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(coarse_channels, channels, kernel_size=2, stride=2)
        self.first = NormalisedConv(2 * channels, channels, norm)
        self.second = NormalisedConv(channels, channels, norm)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """(cases, coarse_channels, ⌈H / 2⌉, ⌈W / 2⌉), (cases, channels, H, W) → (cases, channels, H, W)."""
        enlarged = crop(self.enlarge(coarse), skip)
        return self.second(self.first(torch.cat([enlarged, skip], dim=1)))


class HybridMedT(nn.Module):
    """Medical Transformer with the form of a modern U-Net.

    Args:
        input_channels: channels of the image.
        num_classes: channels of the output.
        image_size: (height, width) for which tables and depths are made; the network accepts any other size too.
        size: name of an entry of `SIZES`.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        image_size: Size,
        size: str = "M",
        norm: Norm = "instance",
        attention: Attention = "axial",
        positions: bool = True,
        gates: Gates = "learned",
        gate_start: float = 0.1,
        scale_start: float = 0.1,
        stochastic_depth: float = 0.0,
        deep_supervision: bool = False,
        recompute: bool = False,
        widths: Sequence[int] | None = None,
        blocks: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.image_size = (int(image_size[0]), int(image_size[1]))
        table = SIZES[size]
        chosen = NetworkSize(tuple(widths or table.widths), tuple(blocks or table.blocks))
        options = BlockOptions(8, norm, attention, positions, gates, gate_start, scale_start, recompute)
        sizes = lattices(self.image_size)
        self.global_branch = HybridEncoder(input_channels, chosen, sizes, stochastic_depth, options)
        used = chosen.widths[: len(sizes)]
        self.decoder_levels = nn.ModuleList(DecoderLevel(coarse, fine, norm) for fine, coarse in pairwise(used))
        self.heads = SegmentationHeads(used, num_classes, deep_supervision, activate=False)
        self.deep_supervision = deep_supervision
        self.recompute = recompute

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits (cases, num_classes, H, W); with deep supervision a list, finest first."""
        skips = self.global_branch(x.contiguous(memory_format=torch.channels_last))
        maps = skips[-1:]
        for level, skip in zip(reversed(self.decoder_levels), reversed(skips[:-1]), strict=True):
            maps.insert(0, run(level, self.recompute, maps[0], skip))
        return self.heads(maps, self.deep_supervision)


def crop(x: Tensor, like: Tensor) -> Tensor:
    """The top left of `x` (cases, channels, H, W), as high and wide as `like`."""
    height, width = like.shape[-2:]
    return x if x.shape[-2:] == like.shape[-2:] else x[..., :height, :width]
