"""Building blocks of the published networks: stem, residual axial block, and a branch made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medt_pipeline.network.axial_layer import AxialAttentionLayer, Form, Position, SimilarityNorm
from medt_pipeline.network.folding import convolve_and_normalise
from medt_pipeline.network.topology import BranchTopology, Size, halves

STEM_WIDTH = 128
"""Channels of the middle of the stem (published)."""


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation and, if `activate`, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, activate: bool = True
    ) -> None:
        super().__init__()
        self.activate = activate
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(cases, in_channels, H, W) → (cases, out_channels, H / stride, W / stride), rounded up."""
        x = convolve_and_normalise(self.conv, self.norm, x)
        return F.relu(x, inplace=True) if self.activate else x


class AxialBlock(nn.Module):
    """Residual bottleneck with attention over columns, then rows, in place of the 3 × 3 convolution.

    (cases, in_channels, H, W) → (cases, 2 × width, H / stride, W / stride), rounded up.

    Source: `AxialBlock`, `AxialBlock_dynamic` and `AxialBlock_wopos` of the published axialnet.py. The convolution
    `conv1` of the last is never used there and does not exist here.

    Args:
        in_channels: channels of the input.
        width: channels inside the attention.
        size: (height, width) of the input.
        stride: 1, or 2 to halve both axes.
        heads: attention heads.
        position: kind of relative positions.
        form: see `axial_layer.Form`.
    """

    def __init__(
        self, in_channels: int, width: int, size: Size, stride: int, heads: int, position: Position, form: Form
    ) -> None:
        super().__init__()
        out_channels = 2 * width
        self.reduce = ConvNorm(in_channels, width, kernel_size=1)
        self.height = AxialAttentionLayer(width, width, heads, size[0], "height", 1, position, form)
        self.width = AxialAttentionLayer(width, width, heads, size[1], "width", stride, position, form)
        self.expand = ConvNorm(width, out_channels, kernel_size=1, activate=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = ConvNorm(in_channels, out_channels, kernel_size=1, stride=stride, activate=False)

    def forward(self, x: Tensor, recompute: bool = False) -> Tensor:
        """Apply the block to (cases, in_channels, H, W).

        With `recompute`, nothing but `x` is kept for the backward, which runs the block again.
        """
        if recompute and torch.is_grad_enabled():
            return checkpoint(self._run, x, use_reentrant=False, preserve_rng_state=False, context_fn=self._contexts)
        return self._run(x)

    def _run(self, x: Tensor) -> Tensor:
        inner = F.relu(self.width(self.height(self.reduce(x))), inplace=True)
        return F.relu(self.expand(inner).add_(self.shortcut(x)), inplace=True)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Contexts of the first run and of the one in the backward."""
        return nullcontext(), running_statistics_kept(self)


@contextmanager
def running_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Normalise by the batch without moving the running statistics, which the first run has moved already."""
    norms = [part for part in module.modules() if isinstance(part, (nn.modules.batchnorm._BatchNorm, SimilarityNorm))]
    momenta = [norm.momentum for norm in norms]
    counters = {name: value.clone() for name, value in module.named_buffers() if name.endswith("num_batches_tracked")}
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for name, value in counters.items():
            module.get_buffer(name).copy_(value)


class AxialBranch(nn.Module):
    """Encoder of axial blocks and decoder of convolutions with added skips.

    Args:
        input_channels: channels of the image.
        topology: number of stages and their sizes.
        stem_channels: channels that the stem hands to the first stage.
        base_width: attention channels of the first stage; they double with every stage.
        blocks: blocks of each stage; as many entries as the deepest topology has stages, or more.
        heads: attention heads.
        position: kind of relative positions.
        form: see `axial_layer.Form`.
        bottom: whether the decoder begins with a convolution at half the coarsest resolution, as in the U-Nets and the
            local branch; the global branch has none.
        recompute: run the axial blocks again in the backward instead of keeping what they compute.
    """

    def __init__(
        self,
        input_channels: int,
        topology: BranchTopology,
        stem_channels: int,
        base_width: int,
        blocks: Sequence[int],
        heads: int,
        position: Position,
        form: Form,
        bottom: bool,
        recompute: bool,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        self.stem = nn.Sequential(
            ConvNorm(input_channels, stem_channels, kernel_size=7, stride=2),
            ConvNorm(stem_channels, STEM_WIDTH, kernel_size=3),
            ConvNorm(STEM_WIDTH, stem_channels, kernel_size=3),
        )
        self.stages = nn.ModuleList()
        channels = stem_channels
        for stage, halved in enumerate(halves(topology)):
            sizes = [topology.stage_sizes[stage]] + [topology.stage_sizes[stage + 1]] * (blocks[stage] - 1)
            width = base_width * 2**stage
            chain = nn.Sequential()
            for index, size in enumerate(sizes):
                stride = 2 if halved and index == 0 else 1
                chain.append(AxialBlock(channels, width, size, stride, heads, position, form))
                channels = 2 * width
            self.stages.append(chain)
        outputs = [2 * base_width * 2**stage for stage in range(topology.stages)]
        self.bottom = nn.Conv2d(outputs[-1], outputs[-1], 3, stride=2, padding=1) if bottom else None
        # decoder[i] leads from the size of stage i's output to the next finer one.
        self.decoder = nn.ModuleList(
            nn.Conv2d(fine_to, target, 3, padding=1)
            for fine_to, target in zip(outputs, [base_width, *outputs[:-1]], strict=True)
        )
        self.output_channels = [base_width, *outputs]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(cases, input_channels, H, W) → decoder maps, finest first.

        The first has `base_width` channels and the size of the image; the next ones belong to the stages, the last to
        the coarsest.
        """
        image_size = x.shape[-2:]
        # All that follows keeps this order, in which convolutions, norms and attention are fastest on CPU and GPU.
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for stage in self.stages:
            for block in stage.children():
                x = block(x, self.recompute)
            skips.append(x)
        if self.bottom is not None:
            x = _relu_of_enlarged(self.bottom(x), x.shape[-2:]) + x
        maps = [x]
        for index in reversed(range(len(skips))):
            size = skips[index - 1].shape[-2:] if index else image_size
            x = _relu_of_enlarged(self.decoder[index](x), size)
            x = x + skips[index - 1] if index else x
            maps.insert(0, x)
        return maps


def _relu_of_enlarged(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.relu(F.interpolate(x, size=list(size), mode="bilinear", align_corners=False))
