"""Axial attention as a layer: projection, normalisation and gates around the pure function of `attention`."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from medt_pipeline.attention import axial_attention, resize_relative_table, similarity_statistics
from medt_pipeline.network.folding import convolve_and_normalise
from medt_pipeline.network.synchronised_norm import is_synchronised

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
    - The normalisation of the two value sums has the channels of one before those of the other, not interleaved.
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
        if form == "published" and position != "none":
            self.sums_norm = nn.BatchNorm2d(2 * out_channels)
        else:
            self.value_norm = nn.BatchNorm2d(out_channels)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Attend along the layer's axis; x is (cases, in_channels, H, W), fastest where its channels lie last."""
        qkv = to_lines(convolve_and_normalise(self.qkv, self.qkv_norm, x), self.heads, self.axis)
        relative = None if self.position == "none" else resize_relative_table(self.relative, qkv.shape[-1])
        scales = self._scales(qkv, relative)
        sums = axial_attention(qkv, relative, scales, self.query_channels, joined=self.form == "formula")
        return self.pool(self._normalise(from_lines(sums, self.axis)))

    def _normalise(self, sums: Tensor) -> Tensor:
        """Normalise, and add the two value sums where they are apart; returns (cases, out_channels, H, W)."""
        if self.form == "formula" or self.position == "none":
            return self.value_norm(sums)
        of_values, of_positions = self.sums_norm(sums).chunk(2, dim=1)
        return of_values + of_positions

    def _scales(self, qkv: Tensor, relative: Tensor | None) -> Tensor:
        """(5, heads), or (1, heads) without positions: factors of q·k, q·r, k·r and of both value sums."""
        if self.position == "gated":
            gates = self.gates.reshape(4, -1).expand(4, self.heads)
        else:
            gates = self.qkv.weight.new_ones(4, self.heads)
        logit_factors = torch.cat([torch.ones_like(gates[:1]), gates[:2]])[: 1 if relative is None else 3]
        if self.form == "formula":
            logit_factors = logit_factors / math.sqrt(self.query_channels)
        else:
            # As was decided for the layer's other norms, which are found by their type.
            synchronised = is_synchronised(self.qkv_norm)
            logit_factors = self.similarity_norm(qkv, relative, logit_factors, self.query_channels, synchronised)
        return logit_factors if relative is None else torch.cat([logit_factors, gates[3:], gates[2:3]])


def to_lines(qkv: Tensor, heads: int, axis: Axis) -> Tensor:
    """(cases, C, H, W) → (cases, lines, heads, C / heads, L), a view, as `axial_attention` takes it."""
    order = (0, 4, 1, 2, 3) if axis == "height" else (0, 3, 1, 2, 4)
    return qkv.unflatten(1, (heads, -1)).permute(order)


def from_lines(sums: Tensor, axis: Axis) -> Tensor:
    """(cases, lines, parts, heads, d_v, L) → (cases, parts × heads × d_v, H, W), a view if channels-last."""
    order = (0, 2, 3, 4, 5, 1) if axis == "height" else (0, 2, 3, 4, 1, 5)
    return sums.permute(order).flatten(1, 3)


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

    def forward(
        self, qkv: Tensor, relative: Tensor | None, factors: Tensor, d_k: int, synchronised: bool = False
    ) -> Tensor:
        """Scales (maps, heads) of the logits for maps that `factors` (maps, heads) multiply before normalisation.

        `qkv`, `relative` and `d_k` are those of `axial_attention`. With `synchronised`, the batch is that of all
        processes, as with torch's SyncBatchNorm.
        """
        if self.training:
            variance = self._batch_variance(qkv, relative, factors, d_k, synchronised)
        else:
            variance = self.running_var.view(self.maps, self.heads)
        return self.weight.view(self.maps, self.heads) * factors * torch.rsqrt(variance + self.eps)

    def _batch_variance(
        self, qkv: Tensor, relative: Tensor | None, factors: Tensor, d_k: int, synchronised: bool
    ) -> Tensor:
        # Half precision would overflow in the second moments, so autocast is left for the statistics.
        device = qkv.device.type
        available = torch.amp.is_autocast_available(device)
        with torch.autocast(device, enabled=False) if available else nullcontext():
            full = torch.promote_types(qkv.dtype, torch.float32)
            table = None if relative is None else relative.to(full)
            statistics = similarity_statistics(qkv.to(full), table, d_k)
            if synchronised:
                statistics = statistics.over_all_processes()
            mean, variance = factors * statistics.mean, factors**2 * statistics.variance
        with torch.no_grad():
            unbiased = variance * (statistics.count / max(statistics.count - 1, 1))
            self.running_mean.lerp_(mean.flatten().to(self.running_mean), self.momentum)
            self.running_var.lerp_(unbiased.flatten().to(self.running_var), self.momentum)
        return variance


def gate_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The gates of all attention layers that learn them; empty for a network without such gates."""
    return [parameter for name, parameter in network.named_parameters() if name.rpartition(".")[2] == "gates"]
