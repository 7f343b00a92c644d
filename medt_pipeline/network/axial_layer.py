"""Axial attention as a layer: projection, normalisation and gates around the pure function of `attention`."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from medt_pipeline.attention import axial_attention, resize_relative_table, similarity_statistics

Axis = Literal["height", "width"]
Position = Literal["none", "plain", "gated"]
"""Relative positions: none, with all terms at full strength, or weighed by gates."""
Form = Literal["published", "formula"]
"""Where normalisation stands: "published" normalises the three similarity maps and both value sums by batch, as the
published code does, which divides the gates out again; "formula" scales the logits by 1/√d_k as the paper's equation
says, so that the gates act, and normalises the sum of the two value sums."""

INITIAL_GATES: dict[Form, tuple[float, float, float, float]] = {
    "published": (0.1, 0.1, 0.1, 1.0),
    "formula": (1.0, 1.0, 1.0, 1.0),
}
"""Start values of the gates on q·r, k·r, Σ a·r^v and Σ a·v. The published 0.1 is divided out again by the normalisation
behind it, so the published network starts with positions at full strength; in the formula, where gates act, 1 does
that. Attention is all that mixes positions here: Dice 0.75 instead of 0.71 (GlaS at 96 × 128, 125 steps, one seed)."""


class AxialAttentionLayer(nn.Module):
    """Multi-head self-attention along one image axis, optionally followed by 2 × 2 average pooling.

    Input (cases, in_channels, H, W) → output (cases, out_channels, H', W') with H' = H / stride, rounded up.
    A head has out_channels / heads value channels and half as many query and key channels.

    Differences from `AxialAttention`, `AxialAttention_dynamic` and `AxialAttention_wopos` of the published
    lib/models/axialnet.py, none of which changes a result:

    - The mean and the bias of the similarity normalisation add one constant to all logits of a head, which softmax
      cancels. They are therefore not computed; `similarity_norm.bias` is a buffer, kept for the published weights.
    - The normalisation of the two value sums is two modules instead of one with interleaved channels.
    - Odd sides are pooled with a half-filled last window, where the published pooling drops the last line.
    - Other lengths than the one the layer was made for are accepted; see `resize_relative_table`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, a multiple of 2 × heads.
        heads: attention heads.
        length: length of the axis for which the relative table is made.
        axis: the axis along which positions attend to each other.
        stride: 1, or 2 to halve both axes after the attention.
        position: kind of relative positions.
        form: see `Form`. "published" has four gates for the layer, "formula" four a head.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int,
        length: int,
        axis: Axis,
        stride: int = 1,
        position: Position = "gated",
        form: Form = "published",
    ) -> None:
        super().__init__()
        if out_channels % (2 * heads):
            raise ValueError(f"out_channels must be a multiple of 2 × heads = {2 * heads}, got {out_channels}")
        self.heads, self.axis, self.position, self.form = heads, axis, position, form
        self.value_channels = out_channels // heads
        self.query_channels = self.value_channels // 2
        self.qkv = nn.Conv2d(in_channels, 2 * out_channels, kernel_size=1, bias=False)
        self.qkv_norm = nn.BatchNorm2d(2 * out_channels)
        nn.init.normal_(self.qkv.weight, std=math.sqrt(1 / in_channels))
        if position != "none":
            table = torch.randn(2 * self.value_channels, 2 * length - 1) / math.sqrt(self.value_channels)
            self.relative = nn.Parameter(table)
        if position == "gated":
            shape = (4,) if form == "published" else (4, heads)
            start = torch.tensor(INITIAL_GATES[form]).reshape(4, *(1,) * (len(shape) - 1))
            self.gates = nn.Parameter(start.expand(shape).clone())
        if form == "published":
            self.similarity_norm = SimilarityNorm(1 if position == "none" else 3, heads)
        self.value_norm = nn.BatchNorm1d(out_channels)
        if form == "published" and position != "none":
            self.position_norm = nn.BatchNorm1d(out_channels)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Attend along the layer's axis; x is (cases, in_channels, H, W)."""
        sequences = self._to_sequences(self.qkv_norm(self.qkv(x)))
        channels = [self.query_channels, self.query_channels, self.value_channels]
        q, k, v = sequences.unflatten(1, (self.heads, sum(channels))).split(channels, dim=2)
        relative = None if self.position == "none" else resize_relative_table(self.relative, q.shape[-1])
        of_values, of_positions = axial_attention(q, k, v, relative, self._scales(q, k, relative))
        return self.pool(self._from_sequences(self._join(of_values, of_positions), x.shape))

    def _gates(self) -> Tensor:
        """(4, 1) or (4, heads): the gates, ones where the layer has none."""
        if self.position != "gated":
            return self.qkv.weight.new_ones(4, 1)
        return self.gates.reshape(4, -1)

    def _scales(self, q: Tensor, k: Tensor, relative: Tensor | None) -> Tensor:
        """(3, heads), or (1, heads) without positions: factors of q·k, q·r and k·r."""
        gates = self._gates()
        factors = torch.cat([torch.ones_like(gates[:1]), gates[:2]]).expand(3, self.heads)
        if self.form == "formula":
            return factors / math.sqrt(self.query_channels)
        return self.similarity_norm(q, k, relative, factors)

    def _join(self, of_values: Tensor, of_positions: Tensor | None) -> Tensor:
        """Weigh, normalise and add the two value sums; returns (sequences, out_channels, L)."""
        gates = self._gates()[:, :, None, None]
        if self.form == "formula":
            joined = of_values if of_positions is None else gates[3] * of_values + gates[2] * of_positions
            return self.value_norm(joined.flatten(1, 2))
        if of_positions is None:
            return self.value_norm(of_values.flatten(1, 2))
        if self.position == "gated":
            of_values, of_positions = gates[3] * of_values, gates[2] * of_positions
        return self.value_norm(of_values.flatten(1, 2)) + self.position_norm(of_positions.flatten(1, 2))

    def _to_sequences(self, x: Tensor) -> Tensor:
        """(cases, C, H, W) → (cases × lines, C, L)."""
        order = (0, 3, 1, 2) if self.axis == "height" else (0, 2, 1, 3)
        return x.permute(order).flatten(0, 1)

    def _from_sequences(self, sequences: Tensor, shape: torch.Size) -> Tensor:
        """(cases × lines, C, L) → (cases, C, H, W)."""
        lines = shape[3] if self.axis == "height" else shape[2]
        order = (0, 2, 3, 1) if self.axis == "height" else (0, 2, 1, 3)
        return sequences.unflatten(0, (shape[0], lines)).permute(order)


class SimilarityNorm(nn.Module):
    """Batch normalisation of the similarity maps, as factors on their logits.

    Stands for the published `bn_similarity`, a BatchNorm2d over (sequences, L, L) with one channel a map and head, in
    the order q·k, q·r, k·r. Training uses the statistics of the batch, which come from closed forms
    (`similarity_statistics`); evaluation the running ones.

    Args:
        maps: 3, or 1 without positions.
        heads: attention heads.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics.
    """

    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, maps: int, heads: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.maps, self.heads, self.eps, self.momentum = maps, heads, eps, momentum
        self.weight = nn.Parameter(torch.ones(maps * heads))
        self.register_buffer("bias", torch.zeros(maps * heads))
        self.register_buffer("running_mean", torch.zeros(maps * heads))
        self.register_buffer("running_var", torch.ones(maps * heads))

    def forward(self, q: Tensor, k: Tensor, relative: Tensor | None, factors: Tensor) -> Tensor:
        """Scales (maps, heads) of the logits for maps that `factors` (3, heads) multiply before normalisation."""
        factors = factors[: self.maps]
        if self.training:
            variance = self._batch_variance(q, k, relative, factors)
        else:
            variance = self.running_var.view(self.maps, self.heads)
        return self.weight.view(self.maps, self.heads) * factors * torch.rsqrt(variance + self.eps)

    def _batch_variance(self, q: Tensor, k: Tensor, relative: Tensor | None, factors: Tensor) -> Tensor:
        # Half precision would overflow in the second moments, so autocast is left for the statistics.
        available = torch.amp.is_autocast_available(q.device.type)
        with torch.autocast(q.device.type, enabled=False) if available else nullcontext():
            full = torch.promote_types(q.dtype, torch.float32)
            table = None if relative is None else relative.to(full)
            statistics = similarity_statistics(q.to(full), k.to(full), table)
            mean, variance = factors * statistics.mean, factors**2 * statistics.variance
        with torch.no_grad():
            unbiased = variance * (statistics.count / max(statistics.count - 1, 1))
            self.running_mean.lerp_(mean.flatten().to(self.running_mean), self.momentum)
            self.running_var.lerp_(unbiased.flatten().to(self.running_var), self.momentum)
        return variance


def gate_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The gates of all attention layers; empty for a network without gates."""
    layers = (module for module in network.modules() if isinstance(module, AxialAttentionLayer))
    return [layer.gates for layer in layers if layer.position == "gated"]
