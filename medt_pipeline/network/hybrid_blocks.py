"""Building blocks of the hybrid family: convolution with norm, gated axial attention, and the block around it."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medt_pipeline.attention import axial_attention, resize_relative_table
from medt_pipeline.network.axial_layer import Axis, from_lines, to_lines
from medt_pipeline.network.blocks import running_statistics_kept
from medt_pipeline.network.normalisation import Norm, Normalisation
from medt_pipeline.network.topology import Size

Gates = Literal["learned", "fixed"]
Attention = Literal["axial", "identity"]
"""Axial attention, or a 1 × 1 convolution in its place."""
FEWEST_QUERY_CHANNELS = 4
"""Of a head, even where it has fewer value channels."""


@dataclass(frozen=True)
class BlockOptions:
    """What all blocks of a network have in common; for the meanings see `HybridMedT`."""

    heads: int = 8
    norm: Norm = "instance"
    attention: Attention = "axial"
    positions: bool = True
    gates: Gates = "learned"
    gate_start: float = 0.1
    scale_start: float = 0.1
    recompute: bool = False


class NormalisedConv(nn.Module):
    """3 × 3 convolution without bias, normalisation and leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm = Normalisation(norm, out_channels, activate=True)

    def forward(self, x: Tensor, patches: int = 1) -> Tensor:
        """(cases × patches, in_channels, H, W) → (cases × patches, out_channels, H / stride, W / stride), rounded up.

        For `patches` see `Normalisation`.
        """
        # A single channel lies last and first at once, and a convolution of it may put its results first.
        x = self.conv(x).contiguous(memory_format=torch.channels_last)
        return self.norm(x, patches)


class PointwiseConv(nn.Conv2d):
    """1 × 1 convolution, computed as the matrix product that it is on channels-last maps.

    torch takes a convolution far slower than that one on small maps on the CPU.

    Args:
        in_channels, out_channels: channels before and after.
        bias: whether to add a bias.
        scale_start: start of a learned factor for each output channel ("layer scale"; Touvron et al. 2021, Going deeper
            with image transformers, arXiv 2103.17239), which is applied to the weights; None for no factor.
    """

    def __init__(
        self, in_channels: int, out_channels: int, bias: bool = True, scale_start: float | None = None
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1, bias=bias)
        self.scale = None if scale_start is None else nn.Parameter(torch.full((out_channels,), scale_start))

    def forward(self, x: Tensor) -> Tensor:
        """(cases, in_channels, H, W) → (cases, out_channels, H, W)."""
        weight, bias = self.weight.flatten(1), self.bias
        if self.scale is not None:
            weight, bias = weight * self.scale[:, None], None if bias is None else bias * self.scale
        return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


class GatedAxialAttention(nn.Module):
    """Gated axial attention by the paper's formula, with normalised queries, keys and values and gates per head.

        q, k, v = norm(W x)
        logits_ij = (q_i·k_j + g_q q_i·r^q_{i-j} + g_k k_j·r^k_{j-i}) / √d_k,   a = softmax over j
        y_i = g_v1 Σ_j a_ij v_j + g_v2 Σ_j a_ij r^v_{i-j}

    Input (cases × patches, channels, H, W) → output of the same shape, channels-last both. A head has
    d_v = channels / heads value channels and d_k = d_v / 2 query and key channels, at least 4.

    The norm stands before the gates, so that they act. Without it logits grow until the training leaps, and what
    attention along one axis averages comes to the other too small: docs/explanation/network.md.

    Args:
        channels: a multiple of the heads.
        length: length of the axis for which the relative table is made; see `resize_relative_table` for others.
        axis: the axis along which positions attend to each other.
        options: heads, positions, and kind and start of the gates.
    """

    def __init__(self, channels: int, length: int, axis: Axis, options: BlockOptions) -> None:
        super().__init__()
        self.heads, self.axis, self.positions = options.heads, axis, options.positions
        value_channels = channels // self.heads
        self.query_channels = max(FEWEST_QUERY_CHANNELS, value_channels // 2)
        rows = 2 * self.query_channels + value_channels
        self.qkv = PointwiseConv(channels, self.heads * rows, bias=False)
        nn.init.normal_(self.qkv.weight, std=math.sqrt(1 / channels))
        self.qkv_norm = Normalisation(options.norm, self.heads * rows)
        if self.positions:
            self.relative = nn.Parameter(torch.randn(rows, 2 * length - 1) / math.sqrt(value_channels))
            start = torch.tensor([options.gate_start] * 3 + [1.0])[:, None].repeat(1, self.heads)
            # In the order of `AxialAttentionLayer`: q·r, k·r, Σ a·r^v, Σ a·v.
            if options.gates == "learned":
                self.gates = nn.Parameter(start)
            else:
                self.register_buffer("gates", start)

    def forward(self, x: Tensor, patches: int = 1) -> Tensor:
        """Attend along the layer's axis; for `patches` see `Normalisation`."""
        qkv = to_lines(self.qkv_norm(self.qkv(x), patches), self.heads, self.axis)
        factor = self.qkv.weight.new_full((1, self.heads), 1 / math.sqrt(self.query_channels))
        if not self.positions:
            return from_lines(axial_attention(qkv, None, factor, self.query_channels, joined=True), self.axis)
        relative = resize_relative_table(self.relative, qkv.shape[-1])
        scales = torch.cat([factor, factor * self.gates[:2], self.gates[3:], self.gates[2:3]])
        return from_lines(axial_attention(qkv, relative, scales, self.query_channels, joined=True), self.axis)


class HybridBlock(nn.Module):
    """Attention over columns, then rows, and a feed-forward part with a 3 × 3 convolution; both added to the input.

    Input (cases × patches, channels, H, W) → output of the same shape.

    Args:
        channels: a multiple of the heads.
        lattice: (height, width) for which the relative tables are made.
        drop: probability with which, in training, an entry of the batch passes by one of the two parts.
        options: what all blocks have in common.
    """

    def __init__(self, channels: int, lattice: Size, drop: float, options: BlockOptions) -> None:
        super().__init__()
        self.drop = drop

        def mixer(axis: Axis, length: int) -> nn.Module:
            if options.attention == "identity":
                return _PointwiseInstead(channels)
            return GatedAxialAttention(channels, length, axis, options)

        self.attention_norm = Normalisation(options.norm, channels)
        self.columns = mixer("height", lattice[0])
        self.rows = mixer("width", lattice[1])
        self.mix = PointwiseConv(channels, channels, scale_start=options.scale_start)
        self.feed_forward_norm = Normalisation(options.norm, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.contract = PointwiseConv(channels, channels, scale_start=options.scale_start)

    def forward(self, x: Tensor, patches: int = 1) -> Tensor:
        """Apply the block; for `patches` see `Normalisation`."""
        inner = self.columns(self.attention_norm(x, patches), patches)
        x = x + self._kept(self.mix(self.rows(inner, patches)))
        inner = self.conv(self.feed_forward_norm(x, patches))
        return x + self._kept(self.contract(F.gelu(inner)))

    def _kept(self, part: Tensor) -> Tensor:
        """Stochastic depth: zero for some entries of the batch, and more of the others, so that the mean stays."""
        if not self.drop or not self.training:
            return part
        kept = torch.rand(part.shape[0], 1, 1, 1, device=part.device) >= self.drop
        return part * (kept / (1 - self.drop)).to(part.dtype)


class _PointwiseInstead(PointwiseConv):
    """What stands in place of an attention: a 1 × 1 convolution, to which patches are maps like others."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, bias=False)

    def forward(self, x: Tensor, patches: int = 1) -> Tensor:
        return super().forward(x)


def run(part: nn.Module, recompute: bool, *arguments: Tensor | int) -> Tensor:
    """`part(*arguments)`; with `recompute`, nothing but the arguments is kept for the backward, which runs it again."""
    if not recompute or not torch.is_grad_enabled():
        return part(*arguments)
    # Of the first run and of the one in the backward.
    contexts = nullcontext(), running_statistics_kept(part)
    return checkpoint(part, *arguments, use_reentrant=False, context_fn=lambda: contexts)
