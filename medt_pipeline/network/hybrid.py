"""The family that the pipeline trains: convolutional stem, gated axial attention from stride 4 down, U-Net decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medt_pipeline.network.heads import PyramidHeads
from medt_pipeline.network.hybrid_blocks import (
    Attention,
    BlockOptions,
    Gates,
    HybridBlock,
    NormalisedConv,
    PointwiseConv,
    run,
)
from medt_pipeline.network.medt import cut_into_patches, join_patches
from medt_pipeline.network.normalisation import Norm
from medt_pipeline.network.topology import Size, lattices, local_patch_size, patch_lattices

LEVELS = 5
"""Maps of an encoder, at strides 1 to 16; fewer for small images."""
STEM_LEVELS = 2
"""Levels of two convolutions each, at strides 1 and 2, before those with attention."""
STEM_STRIDE = 2 ** (STEM_LEVELS - 1)
"""Of the stem's last map."""
HEADS = 8
"""Of every attention; all widths are multiples of it."""


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
    "L": NetworkSize((32, 64, 96, 192, 384), (2, 3, 3)),
}


def network_size(name: str, widths: Sequence[int] | None = None, blocks: Sequence[int] | None = None) -> NetworkSize:
    """The entry `name` of `SIZES`, with other widths and blocks if any are given.

    Raises:
        ValueError: there is no such entry, or too few widths or blocks, or widths that the heads do not divide.
    """
    if name not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}; got {name!r}")
    size = NetworkSize(tuple(widths or SIZES[name].widths), tuple(blocks or SIZES[name].blocks))
    if len(size.widths) != LEVELS or len(size.blocks) != LEVELS - STEM_LEVELS:
        raise ValueError(f"widths must be {LEVELS} and blocks {LEVELS - STEM_LEVELS} numbers; got {size}")
    if any(width % HEADS for width in size.widths):
        raise ValueError(f"widths must be multiples of {HEADS}, got {size.widths}")
    return size


class Stem(nn.Module):
    """Two convolutions each at strides 1 and 2, with `widths` channels."""

    def __init__(self, input_channels: int, widths: Sequence[int], norm: Norm, recompute: bool) -> None:
        super().__init__()
        self.recompute = recompute
        self.levels = nn.ModuleList()
        for before, width in pairwise([input_channels, *widths]):
            stride = 2 if len(self.levels) else 1
            first, second = NormalisedConv(before, width, norm, stride), NormalisedConv(width, width, norm)
            self.levels.append(nn.ModuleList([first, second]))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(cases, input_channels, H, W) → the map of each level, finest first."""
        return _maps_of(self.levels, self.recompute, x)


class HybridEncoder(nn.Module):
    """Levels of blocks with attention, each behind a convolution of stride 2.

    Args:
        input_channels: channels of the stem's last map.
        size: widths and blocks, of which those of the levels that there are serve.
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
        blocks = size.blocks[: len(sizes)]
        drops = (stochastic_depth * block / max(sum(blocks) - 1, 1) for block in range(sum(blocks)))
        channels = input_channels
        for width, count, lattice in zip(size.widths[STEM_LEVELS:], blocks, sizes, strict=False):
            chain = nn.ModuleList([NormalisedConv(channels, width, options.norm, stride=2)])
            chain.extend(HybridBlock(width, lattice, next(drops), options) for _ in range(count))
            self.levels.append(chain)
            channels = width

    def forward(self, x: Tensor, patches: int = 1) -> list[Tensor]:
        """(cases × patches, input_channels, H, W) → the map of each level, finest first."""
        return _maps_of(self.levels, self.recompute, x, patches)


def _maps_of(levels: nn.ModuleList, recompute: bool, x: Tensor, patches: int = 1) -> list[Tensor]:
    """What comes out of each level, which takes what comes out of the one before."""
    maps = []
    for level in levels:
        for part in level.children():
            x = run(part, recompute, x, patches)
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
    """Medical Transformer of gated axial attention in the form of a modern U-Net, with a global and a local branch.

    A stem of convolutions serves both branches. The global branch sees its map as a whole, the local one, narrower and
    with one block a level, the patches of a grid that covers it. Both are encoders of the same form (`HybridEncoder`);
    the maps of the patches are put together and added to the global ones at every level that both have. A decoder with
    concatenated skips follows.

    Differences from the paper, and why: docs/explanation/network.md.

    Args:
        input_channels: channels of the image.
        num_classes: channels of the output.
        image_size: (height, width) for which depths, patches and relative tables are made, at least 16 each. The
            network accepts any other size: tables are cut or stretched (`resize_relative_table`), patches keep their
            size.
        size: name of an entry of `SIZES`.
        local_branch: whether there is a local branch.
        local_width: channels of the local branch by those of the global one.
        attention: "identity" puts a 1 × 1 convolution in place of each axial attention.
        positions: whether the attention has relative positions.
        gates: "fixed" keeps the gates at their start.
        gate_start: start of the gates on q·r, k·r and Σ a·r^v; that of Σ a·v starts at 1.
        norm: see `normalisation.Norm`.
        scale_start: start of the factors for each channel on what a block adds to its input, and the local branch to
            the global one.
        stochastic_depth: probability with which, in training, an image or patch passes by the last block of a branch;
            that of the first is 0, and it grows evenly between them.
        deep_supervision: give the logits of the coarser decoder maps too; `network.deep_supervision` switches it.
        recompute: keep nothing but the inputs of convolutions with norm, blocks and decoder levels for the backward,
            which runs them again.
        widths, blocks: instead of those of `size`, as `NetworkSize` has them.

    Raises:
        UserError: a side is shorter than 16.
        ValueError: see `network_size`.

    Example:
        >>> import torch
        >>> HybridMedT(3, 2, (64, 96), size="S")(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 2, 64, 96])
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        image_size: Size,
        size: str = "M",
        local_branch: bool = True,
        local_width: float = 0.5,
        attention: Attention = "axial",
        positions: bool = True,
        gates: Gates = "learned",
        gate_start: float = 0.1,
        norm: Norm = "instance",
        scale_start: float = 0.1,
        stochastic_depth: float = 0.0,
        deep_supervision: bool = False,
        recompute: bool = False,
        widths: Sequence[int] | None = None,
        blocks: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.recompute, self.deep_supervision = recompute, deep_supervision
        options = BlockOptions(HEADS, norm, attention, positions, gates, gate_start, scale_start, recompute)
        form = network_size(size, widths, blocks)
        sizes = lattices(self.image_size)
        used = form.widths[: len(sizes)]
        self.stem = Stem(input_channels, used[:STEM_LEVELS], norm, recompute)
        self.global_branch = HybridEncoder(used[STEM_LEVELS - 1], form, sizes[STEM_LEVELS:], stochastic_depth, options)
        self.local_branch: HybridEncoder | None = None
        if local_branch:
            patch_size = local_patch_size(self.image_size)
            local_sizes = patch_lattices(patch_size)[STEM_LEVELS:]
            narrow = tuple(HEADS * max(round(width * local_width / HEADS), 1) for width in used)
            local_form = NetworkSize(narrow, (1,) * len(form.blocks))
            self.local_branch = HybridEncoder(used[STEM_LEVELS - 1], local_form, local_sizes, stochastic_depth, options)
            self.patch_size = (patch_size[0] // STEM_STRIDE, patch_size[1] // STEM_STRIDE)
            self.joins = nn.ModuleList(
                PointwiseConv(*pair, scale_start=scale_start)
                for pair in list(zip(narrow, used, strict=True))[STEM_LEVELS : STEM_LEVELS + len(local_sizes)]
            )
        self.decoder_levels = nn.ModuleList(DecoderLevel(coarse, fine, norm) for fine, coarse in pairwise(used))
        self.heads = PyramidHeads(used, num_classes)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits (cases, num_classes, H, W); with deep supervision a list, finest first."""
        x = x.contiguous(memory_format=torch.channels_last)
        of_stem = self.stem(x)
        of_image = self.global_branch(of_stem[-1])
        if self.local_branch is not None:
            of_image = self._with_local(of_stem[-1], self.local_branch, of_image)
        skips = of_stem + of_image
        maps = skips[-1:]
        for level, skip in zip(reversed(self.decoder_levels), reversed(skips[:-1]), strict=True):
            maps.insert(0, run(level, self.recompute, maps[0], skip))
        return self.heads(maps, self.deep_supervision)

    def _with_local(self, x: Tensor, branch: HybridEncoder, maps: list[Tensor]) -> list[Tensor]:
        """Add the local branch's maps of the stem's last map `x` to those of the global one."""
        grid = (-(-x.shape[2] // self.patch_size[0]), -(-x.shape[3] // self.patch_size[1]))
        below = grid[0] * self.patch_size[0] - x.shape[2]
        right = grid[1] * self.patch_size[1] - x.shape[3]
        if below or right:
            x = F.pad(x, (0, right, 0, below), mode="replicate")
        of_patches = branch(cut_into_patches(x, grid), grid[0] * grid[1])
        joined = [
            of_image + crop(join(join_patches(of_patch, grid)), of_image)
            for of_image, of_patch, join in zip(maps, of_patches, self.joins, strict=False)
        ]
        return joined + maps[len(joined) :]


def crop(x: Tensor, like: Tensor) -> Tensor:
    """The top left of `x` (cases, channels, H, W), as high and wide as `like`."""
    height, width = like.shape[-2:]
    return x if x.shape[-2:] == like.shape[-2:] else x[..., :height, :width]
