"""A fused attention as operators of torch, so that torch.compile, torch.export and fake tensors see one opaque step.

    medt_pipeline::axial_attention_NAME(qkv, relative?, scales, d_k, joined) → value sums
    medt_pipeline::axial_attention_NAME_backward(qkv, relative?, scales, d_k, joined, gradient) → the three gradients

Only inputs are kept from forward to backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from medt_pipeline.attention.memory_order import dense_strides, empty_result

Attention = Callable[[Tensor, "Tensor | None", Tensor, int, bool], Tensor]
"""Arguments and result of `axial_attention_reference`."""

_ARGUMENTS = "Tensor qkv, Tensor? relative, Tensor scales, int d_k, bool joined"


def make_attention(
    name: str,
    forward: Attention,
    backward: Callable[..., tuple[Tensor, Tensor, Tensor]],
    device_types: str | tuple[str, ...],
    dtypes: tuple[torch.dtype, ...],
    mixed: bool,
) -> Attention:
    """Make a differentiable attention of a backend's two functions, and register both as operators.

    Args:
        name: of the backend; ends the operators' names.
        forward: as `axial_attention_reference`, in the dtype of `qkv` and in its order in memory (`empty_result`).
        backward: the same and the gradient of the result → gradients of qkv, relative and scales, in their dtypes; that
            of an absent table is empty.
        device_types: where the two run.
        dtypes: what they take.
        mixed: whether table and scales may have another dtype than `qkv`.

    Returns:
        A function with arguments and result of `axial_attention_reference`, which raises TypeError for other dtypes.
    """
    operator = f"medt_pipeline::axial_attention_{name}"

    @torch.library.custom_op(operator, mutates_args=(), device_types=device_types, schema=f"({_ARGUMENTS}) -> Tensor")
    def fused(qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool) -> Tensor:
        _check_dtypes((qkv,), (relative, scales), dtypes, mixed)
        return forward(qkv, relative, scales, d_k, joined)

    @torch.library.custom_op(
        f"{operator}_backward",
        mutates_args=(),
        device_types=device_types,
        schema=f"({_ARGUMENTS}, Tensor gradient) -> (Tensor, Tensor, Tensor)",
    )
    def fused_backward(
        qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool, gradient: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        _check_dtypes((qkv, gradient), (relative, scales), dtypes, mixed)
        return backward(qkv, relative, scales, d_k, joined, gradient)

    def differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        qkv, relative, scales = ctx.saved_tensors
        of_qkv, of_relative, of_scales = fused_backward(qkv, relative, scales, ctx.d_k, ctx.joined, gradient)
        return of_qkv, of_relative if relative is not None else None, of_scales, None, None

    fused.register_fake(_fake_result)
    fused_backward.register_fake(_fake_gradients)
    fused.register_autograd(differentiate, setup_context=_keep_inputs)
    fused_backward.register_autograd(_refuse)
    return fused


def in_one_precision(attention: Attention) -> Attention:
    """The same for any dtypes: computed in float64 if any tensor has it, else in float32; the result in that of `qkv`.

    So half precision, which autocast makes of `qkv` beside a float32 table, is served as well.
    """

    def cast(qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool) -> Tensor:
        present = [tensor for tensor in (qkv, relative, scales) if tensor is not None]
        dtype = torch.float64 if any(tensor.dtype == torch.float64 for tensor in present) else torch.float32
        table = relative if relative is None else relative.to(dtype)
        return attention(qkv.to(dtype), table, scales.to(dtype), d_k, joined).to(qkv.dtype)

    return cast


def _fake_result(qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool) -> Tensor:
    return empty_result(qkv, relative, d_k, joined)


def _fake_gradients(
    qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool, gradient: Tensor
) -> tuple[Tensor, ...]:
    of_relative = scales.new_empty(0) if relative is None else relative.new_empty(relative.shape)
    return qkv.new_empty_strided(qkv.shape, dense_strides(qkv)), of_relative, scales.new_empty(scales.shape)


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    qkv, relative, scales, ctx.d_k, ctx.joined = inputs
    ctx.save_for_backward(qkv, relative, scales)


def _refuse(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "the fused attention has no second derivatives; the plain one has: backend='reference', or set "
        "MEDT_ATTENTION_BACKEND=reference"
    )


def _check_dtypes(
    inputs: tuple[Tensor, ...], parameters: tuple[Tensor | None, ...], dtypes: tuple[torch.dtype, ...], mixed: bool
) -> None:
    of_inputs = {tensor.dtype for tensor in inputs}
    of_parameters = {tensor.dtype for tensor in parameters if tensor is not None}
    alike = of_inputs if mixed else of_inputs | of_parameters
    if len(alike) != 1 or not of_inputs | of_parameters <= set(dtypes):
        allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise TypeError(
            f"{'qkv and its gradient' if mixed else 'all tensors'} must have one dtype of {allowed}; got qkv in "
            f"{sorted(map(str, of_inputs))} beside table and scales in {sorted(map(str, of_parameters))}"
        )
