"""Instance normalisation with leaky ReLU on CUDA devices: cuts the work into programs and launches the Triton kernels.

torch's own wants channels first, so that each of a channels-last network's copies its map before and after; with these,
MedT-M without attention takes 0.63 of the time a training step (416 × 608, on an H200).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from medt_pipeline.attention.optional_packages import import_problem
from medt_pipeline.attention.triton_gpu import on_device

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
"""Of maps; it is computed in single precision, and sums are added in double."""
TILE = 4096
"""Entries of a tile."""
MOST_CHANNELS = 64
"""Of a tile."""
PROGRAMS = 1024
"""Into so many the sums are cut where there are tiles enough."""


def can_fuse(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernels serve maps x (cases × patches, channels, H, W)."""
    served = x.is_cuda and x.dtype in DTYPES and weight.dtype == torch.float32 and x.numel() > 0
    return served and import_problem("triton") is None


class TritonInstanceNorm(torch.autograd.Function):
    """(x - mean) / √(variance + eps) · weight + bias over all positions of an image, then leaky ReLU.

    Kept for the backward are x and two sums of each channel of each image, those of x and x² about the image's first
    position. A map of one position becomes the offset.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, patches: int, eps: float, slope: float) -> Tensor:
        """x (cases × patches, channels, H, W); the result has its type, channels last. `slope` 1: no leaky ReLU."""
        from medt_pipeline.network import triton_norm_kernels as kernels

        x = x.contiguous(memory_format=torch.channels_last)
        cut = _cut(x, patches)
        partial = weight.new_empty(cut.images, cut.chunks, 2, cut.channels)
        result = torch.empty_like(x)
        with on_device(x):
            kernels.moments[cut.chunks, cut.images, cut.blocks](
                x, partial, cut.positions, cut.channels, cut.tiles_a_chunk, **cut.tile
            )
            sums = partial.sum(1, dtype=torch.float64)
            kernels.apply[cut.tiles, cut.images, cut.blocks](
                x, sums, weight, bias, result, cut.positions, cut.channels, eps, slope, **cut.tile
            )
        ctx.save_for_backward(x, sums, weight, bias)
        ctx.patches, ctx.eps, ctx.slope = patches, eps, slope
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias."""
        from medt_pipeline.network import triton_norm_kernels as kernels

        x, sums, weight, bias = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        cut = _cut(x, ctx.patches)
        partial = weight.new_empty(cut.images, cut.chunks, 2, cut.channels)
        of_x = torch.empty_like(x)
        with on_device(x):
            kernels.gradient_sums[cut.chunks, cut.images, cut.blocks](
                *(x, gradient, sums, weight, bias, partial),
                *(cut.positions, cut.channels, cut.tiles_a_chunk, ctx.eps, ctx.slope),
                **cut.tile,
            )
            totals = partial.sum(1, dtype=torch.float64)
            kernels.gradient_apply[cut.tiles, cut.images, cut.blocks](
                *(x, gradient, sums, totals, weight, bias, of_x),
                *(cut.positions, cut.channels, ctx.eps, ctx.slope),
                **cut.tile,
            )
        of_bias, of_weight = totals.sum(0).float()
        return of_x, of_weight, of_bias, None, None, None


class _Cut(NamedTuple):
    """How maps are cut into programs, by shape alone, so that results are always the same."""

    images: int
    positions: int
    channels: int
    blocks: int
    tiles: int
    tiles_a_chunk: int
    chunks: int
    tile: dict[str, int]


def _cut(x: Tensor, patches: int) -> _Cut:
    images, channels = x.shape[0] // patches, x.shape[1]
    positions = x.numel() // (images * channels)
    in_tile = min(1 << (channels - 1).bit_length(), MOST_CHANNELS)
    high = TILE // in_tile
    blocks, tiles = -(-channels // in_tile), -(-positions // high)
    tiles_a_chunk = -(-tiles // max(1, min(tiles, PROGRAMS // (images * blocks))))
    chunks = -(-tiles // tiles_a_chunk)
    return _Cut(
        images, positions, channels, blocks, tiles, tiles_a_chunk, chunks, {"POSITIONS": high, "CHANNELS": in_tile}
    )
