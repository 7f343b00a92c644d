"""Moments of queries and keys from which the statistics of the similarity maps follow: plain torch, and as an operator.

medt_pipeline::sequence_moments(qkv, d_k, positions) → constant, rest, position_mean, position_moment
medt_pipeline::sequence_moments_backward(qkv, position_mean, d_k, the four gradients) → gradient of qkv
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from medt_pipeline.attention import numba_cpu, numba_moments_cpu
from medt_pipeline.attention.backends import choose_backend
from medt_pipeline.attention.memory_order import dense_strides

Moments = tuple[Tensor, Tensor, Tensor, Tensor]


def sequence_moments(qkv: Tensor, d_k: int, positions: bool) -> Moments:
    """The moments of `sequence_moments_reference`, by the backend that `axial_attention` would take."""
    fused = choose_backend(qkv)[0].name == "numba" and qkv.dtype in numba_cpu.DTYPES
    if fused and numba_moments_cpu.why_not(qkv, d_k) is None:
        return fused_moments(qkv, d_k, positions)
    return sequence_moments_reference(qkv, d_k, positions)


def sequence_moments_reference(qkv: Tensor, d_k: int, positions: bool) -> Moments:
    """Moments within sequences, and over sequences at each position.

    With q̄ and k̄ the means over the positions of a sequence, and Q and K the second moments about them:

    Args:
        qkv: (cases, lines, heads, 2 d_k + d_v, L), as for `axial_attention`.
        d_k: channels of a query.
        positions: whether the last two results are wanted; else they are empty.

    Returns:
        q̄·k̄ and k̄ᵀQk̄ + q̄ᵀKq̄ + tr(QK), both (cases × lines, heads), and, of queries and of keys, the mean over
        sequences (heads, 2, d_k, L) and the second moment about it (heads, 2, d_k, d_k, L).
    """
    x = qkv[:, :, :, : 2 * d_k].flatten(0, 1).unflatten(2, (2, d_k))
    means = x.mean(-1)
    centred = x - means[..., None]
    (q, k), (q_moment, k_moment) = means.unbind(2), (centred @ centred.mT / x.shape[-1]).unbind(2)
    rest = (k_moment * (q_moment + q[..., None] * q[..., None, :])).sum((-1, -2))
    rest = rest + (q_moment * (k[..., None] * k[..., None, :])).sum((-1, -2))
    constant = (q * k).sum(-1)
    if not positions:
        return constant, rest, x.new_empty(0), x.new_empty(0)
    position_mean = x.mean(0)
    deviation = x - position_mean
    return constant, rest, position_mean, torch.einsum("nhxci,nhxdi->hxcdi", deviation, deviation) / x.shape[0]


@torch.library.custom_op(
    "medt_pipeline::sequence_moments",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor qkv, int d_k, bool positions) -> (Tensor, Tensor, Tensor, Tensor)",
)
def fused_moments(qkv: Tensor, d_k: int, positions: bool) -> Moments:
    """`sequence_moments_reference` in one pass; sums over sequences are in double precision."""
    return numba_moments_cpu.forward(qkv, d_k, positions)


@torch.library.custom_op(
    "medt_pipeline::sequence_moments_backward",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor qkv, Tensor position_mean, int d_k, Tensor of_constant, Tensor of_rest, Tensor of_mean, "
    "Tensor of_moment) -> Tensor",
)
def fused_moments_backward(qkv: Tensor, position_mean: Tensor, d_k: int, *gradients: Tensor) -> Tensor:
    """Gradient of `qkv`; zero for the values."""
    return numba_moments_cpu.backward(qkv, position_mean, d_k, *gradients)


@fused_moments.register_fake
def _(qkv: Tensor, d_k: int, positions: bool) -> Moments:
    cases, lines, heads, _, length = qkv.shape
    of_rows = [qkv.new_empty(cases * lines, heads) for _ in range(2)]
    shapes = [(heads, 2, d_k, length), (heads, 2, d_k, d_k, length)] if positions else [(0,), (0,)]
    return of_rows[0], of_rows[1], qkv.new_empty(shapes[0]), qkv.new_empty(shapes[1])


@fused_moments_backward.register_fake
def _(qkv: Tensor, position_mean: Tensor, d_k: int, *gradients: Tensor) -> Tensor:
    return qkv.new_empty_strided(qkv.shape, dense_strides(qkv))


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Moments) -> None:
    qkv, ctx.d_k, _ = inputs
    ctx.save_for_backward(qkv, output[2])


def _backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
    qkv, position_mean = ctx.saved_tensors
    return fused_moments_backward(qkv, position_mean, ctx.d_k, *gradients), None, None


fused_moments.register_autograd(_backward, setup_context=_keep_inputs)
