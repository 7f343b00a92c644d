"""Instance normalisation with leaky ReLU on the CPU: calls the fused kernels, on as many threads as torch uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medt_pipeline.attention.numba_cpu import share_chunks
from medt_pipeline.attention.optional_packages import import_problem

if TYPE_CHECKING:
    from medt_pipeline.network.fused_norm_kernels import Sizes

LANES = 16
"""float32 values of a register."""
BITS: dict[torch.dtype, Any] = {torch.float32: np.float32(0), torch.bfloat16: np.uint16(0)}
"""What the kernels read: float32, or bfloat16 as its bits."""
BLOCKS_A_CHUNK = 8
"""Of so many blocks the sums are brought to memory at once."""


def can_fuse(x: Tensor, weight: Tensor, patches: int) -> bool:
    """Whether the kernels serve maps x (cases × patches, channels, H, W)."""
    channels, values = x.shape[1], patches * x.shape[1:].numel()
    whole = channels % LANES == 0 or (LANES % channels == 0 and values % LANES == 0)
    types = x.dtype in BITS and weight.dtype == torch.float32
    # Fake tensors, by which memory is estimated, have no values to read.
    real = type(x) in (Tensor, nn.Parameter) and x.device.type == "cpu"
    return types and whole and values > 0 and real and import_problem("numba") is None


class FusedInstanceNorm(torch.autograd.Function):
    """(x - mean) / √(variance + eps) · weight + bias over all positions of an image, then leaky ReLU.

    Computes and sums in float32 and float64 whatever the precision of x. A map of one position becomes the offset.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, patches: int, eps: float, slope: float) -> Tensor:
        """x (cases × patches, channels, H, W); the result has its type, channels last. `slope` 1: no leaky ReLU."""
        from medt_pipeline.network import fused_norm_kernels as kernels

        x = x.contiguous(memory_format=torch.channels_last)
        images, channels = x.shape[0] // patches, x.shape[1]
        sizes = _sizes(x, images, slope)
        first = x.permute(0, 2, 3, 1)[::patches, 0, 0].float()
        shifts = _periodic(first, sizes)
        sums = _sums(kernels.moments, x, sizes, images, x, shifts)
        count = patches * x.shape[2] * x.shape[3]
        off, square = sums / count
        inverse = ((square - off * off).clamp(min=0) + eps).rsqrt().float()
        mean = (first.double() + off).float()
        factor = inverse * weight
        coefficients = [_periodic(one, sizes) for one in (mean, factor, bias.expand(images, channels))]
        result = torch.empty_like(x, memory_format=torch.channels_last)
        _run(kernels.apply, x, sizes, images, x, *coefficients, result)
        ctx.save_for_backward(x, *coefficients, inverse, factor)
        ctx.sizes, ctx.count = sizes, count
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias."""
        from medt_pipeline.network import fused_norm_kernels as kernels

        x, mean, by, offset, inverse, factor = ctx.saved_tensors
        images, sizes = len(inverse), ctx.sizes
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        sums = _sums(kernels.gradient_sums, x, sizes, images, x, gradient, mean, by, offset)
        of_bias, of_weight = sums[0], sums[1] * inverse
        slopes = _periodic((-factor * of_weight / ctx.count * inverse).float(), sizes)
        constants = _periodic((-factor * of_bias / ctx.count).float(), sizes)
        of_x = torch.empty_like(x, memory_format=torch.channels_last)
        _run(kernels.gradient_apply, x, sizes, images, x, gradient, mean, by, offset, slopes, constants, of_x)
        return of_x, of_weight.sum(0).float(), of_bias.sum(0).float(), None, None, None


def _sizes(x: Tensor, images: int, slope: float) -> Sizes:
    from medt_pipeline.network.fused_norm_kernels import BLOCK_FLOATS, Sizes

    registers = max(x.shape[1] // LANES, 1)
    rows = x.numel() // images // (registers * LANES)
    rows_a_chunk = max(BLOCK_FLOATS // (registers * LANES), 8) * BLOCKS_A_CHUNK
    return Sizes(rows, registers, rows_a_chunk, -(-rows // rows_a_chunk), slope)


def _periodic(of_channels: Tensor, sizes: Sizes) -> Tensor:
    """(images, channels) as the registers of a row need it."""
    times = sizes.registers * LANES // of_channels.shape[1]
    return of_channels.contiguous() if times == 1 else of_channels.repeat(1, times)


def _sums(kernel: Any, x: Tensor, sizes: Sizes, images: int, *tensors: Tensor) -> Tensor:
    """Both sums of each channel of each image, (2, images, channels) float64."""
    period = sizes.registers * LANES
    partial = torch.zeros(images * sizes.chunks_an_image, 2, period, dtype=torch.float64)
    _run(kernel, x, sizes, images, *tensors, partial)
    by_lane = partial.view(images, sizes.chunks_an_image, 2, -1, x.shape[1])
    return by_lane.sum((1, 3)).transpose(0, 1)


def _run(kernel: Any, x: Tensor, sizes: Sizes, images: int, *tensors: Tensor) -> None:
    addresses = [one.data_ptr() for one in tensors]
    share_chunks(kernel, (np.float32(0), BITS[x.dtype], sizes, *addresses), images * sizes.chunks_an_image)
