"""The fused attention as operators of torch, so that torch.compile, torch.export and fake tensors see one opaque step.

    medt_pipeline::axial_attention(q, k, v, relative?, scales) → (Σ a·v, Σ a·r^v, empty without positions)
    medt_pipeline::axial_attention_backward(q, k, v, relative?, scales, both gradients) → the five gradients

A backend for another device registers its kernels here as well. Only inputs are kept from forward to backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from medt_pipeline.attention import numba_cpu

_ARGUMENTS = "Tensor q, Tensor k, Tensor v, Tensor? relative, Tensor scales"
_GRADIENTS = "Tensor grad_values, Tensor grad_positions"


@torch.library.custom_op(
    "medt_pipeline::axial_attention",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_ARGUMENTS}) -> (Tensor, Tensor)",
)
def fused_attention(q: Tensor, k: Tensor, v: Tensor, relative: Tensor | None, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Both value sums, as `axial_attention_reference`; the second is empty without positions. Takes one dtype only."""
    _check_dtypes(q, k, v, relative, scales)
    return numba_cpu.forward(q, k, v, relative, scales)


@torch.library.custom_op(
    "medt_pipeline::axial_attention_backward",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_ARGUMENTS}, {_GRADIENTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def fused_attention_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    relative: Tensor | None,
    scales: Tensor,
    grad_values: Tensor,
    grad_positions: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, relative (empty without positions) and scales."""
    _check_dtypes(q, k, v, relative, scales, grad_values, grad_positions)
    return numba_cpu.backward(q, k, v, relative, scales, grad_values, grad_positions)


@fused_attention.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, relative: Tensor | None, scales: Tensor) -> tuple[Tensor, Tensor]:
    return v.new_empty(v.shape), v.new_empty(v.shape if relative is not None else (0,))


@fused_attention_backward.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    relative: Tensor | None,
    scales: Tensor,
    grad_values: Tensor,
    grad_positions: Tensor,
) -> tuple[Tensor, ...]:
    of_relative = q.new_empty(relative.shape if relative is not None else (0,))
    return *(x.new_empty(x.shape) for x in (q, k, v)), of_relative, scales.new_empty(scales.shape)


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad_values: Tensor, grad_positions: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, relative, scales = ctx.saved_tensors
    of_q, of_k, of_v, of_relative, of_scales = fused_attention_backward(
        q, k, v, relative, scales, grad_values, grad_positions
    )
    return of_q, of_k, of_v, of_relative if relative is not None else None, of_scales


def _refuse(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "the fused attention has no second derivatives; the plain one has: backend='reference', or set "
        "MEDT_ATTENTION_BACKEND=reference"
    )


fused_attention.register_autograd(_backward, setup_context=_keep_inputs)
fused_attention_backward.register_autograd(_refuse)


def _check_dtypes(*tensors: Tensor | None) -> None:
    dtypes = {tensor.dtype for tensor in tensors if tensor is not None}
    if len(dtypes) != 1 or not dtypes <= set(numba_cpu.DTYPES):
        raise TypeError(f"all tensors must be float32 or all float64, got {sorted(str(dtype) for dtype in dtypes)}")


def axial_attention_fused(
    q: Tensor, k: Tensor, v: Tensor, relative: Tensor | None, scales: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Arguments and results of `axial_attention_reference`.

    Computes in float64 if any tensor is, else in float32; the results have the dtype of `v`. So half precision, which
    autocast makes of q, k and v beside a float32 table, is served as well.
    """
    tensors = (q, k, v, relative, scales)
    double = any(tensor is not None and tensor.dtype == torch.float64 for tensor in tensors)
    dtype = torch.float64 if double else torch.float32
    served = [tensor if tensor is None or tensor.dtype == dtype else tensor.to(dtype) for tensor in tensors]
    of_values, of_positions = fused_attention(*served)
    if v.dtype != dtype:
        of_values, of_positions = of_values.to(v.dtype), of_positions.to(v.dtype)
    return of_values, of_positions if relative is not None else None
