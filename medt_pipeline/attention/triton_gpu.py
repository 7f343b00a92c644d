"""The attention on the GPU: cuts the work into programs and launches the fused Triton kernels.

Triton and the kernels are imported when they are first called, and compiled for each number of channels;
Triton keeps the result on disk. With TRITON_INTERPRET=1, set before that, Triton's interpreter runs the same
kernels on the CPU, for tests.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from medt_pipeline.attention.memory_order import dense_strides, empty_result
from medt_pipeline.attention.optional_packages import import_problem

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What the kernels read and write; they compute in double precision if any tensor has it, else in single."""
OLDEST_TORCH = (2, 7)
"""The first whose Triton (3.3) has tuples, in which the kernels pass their blocks."""
_NEW_ENOUGH = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= OLDEST_TORCH
LANES = 128
"""Threads of a program, each with one position of one row: enough rows share what is loaded of a table."""
TABLE_LANES = 32
"""Offsets of a program for the gradient of the table. Few, as queries have keys at half of the offsets only."""
QUERIES = 16
"""Queries that such a program goes through, whose keys lie at L + 15 of the 2 L - 1 offsets."""
PROGRAMS = 8192
"""Programs that the gradient of the table is cut into where there are rows enough: several for each multiprocessor."""
MOST_PARTIALS = 2**23
"""Bound of parts × entries of the table, 32 MiB in single precision: the programs' parts of its gradient."""


def why_not(qkv: Tensor) -> str | None:
    """The reason why this backend cannot serve the input, or None. Second derivatives are the reference's alone."""
    device = qkv.device.type
    if device != "cuda" and not (device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"runs on cuda, got {device}"
    if qkv.dtype not in DTYPES:
        return f"takes half, single and double precision, got {qkv.dtype}"
    if not _NEW_ENOUGH:
        return "needs the Triton of torch 2.7 or later"
    return import_problem("triton")


class _Shape(NamedTuple):
    """Of a call; rows = cases × lines × heads."""

    rows: int
    lines: int
    heads: int
    d_k: int
    d_v: int
    length: int


def _shape(qkv: Tensor, d_k: int) -> _Shape:
    cases, lines, heads, channels, length = qkv.shape
    return _Shape(cases * lines * heads, lines, heads, d_k, channels - 2 * d_k, length)


def forward(qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool) -> Tensor:
    """The value sums, as `axial_attention_reference`."""
    result = empty_result(qkv, relative, d_k, joined)
    if not result.numel():
        return result
    from medt_pipeline.attention import triton_kernels

    shape, compute = _shape(qkv, d_k), _compute_dtype(qkv, relative, scales)
    with on_device(qkv):
        triton_kernels.forward[(_ceil(shape.rows * shape.length, LANES),)](
            *(qkv, *_table_and_scales(relative, scales), result),
            *(qkv.stride(), result.stride()),
            *(shape.rows, shape.lines, shape.heads, shape.length),
            POSITIONS=relative is not None,
            **_constants(shape, LANES, compute, joined),
        )
    return result


def backward(
    qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, relative (empty without positions) and scales."""
    of_qkv = torch.empty_strided(qkv.shape, dense_strides(qkv), dtype=qkv.dtype, device=qkv.device)
    of_relative = scales.new_zeros(0) if relative is None else relative.new_zeros(relative.shape)
    if not grad.numel():
        return of_qkv, of_relative, scales.new_zeros(scales.shape)
    from medt_pipeline.attention import triton_kernels

    shape, compute = _shape(qkv, d_k), _compute_dtype(qkv, relative, scales)
    grid = (_ceil(shape.rows * shape.length, LANES),)
    inputs = (qkv, *_table_and_scales(relative, scales), grad)
    log_sums, means = qkv.new_empty(2, shape.rows, shape.length, dtype=compute)
    of_scales = qkv.new_empty(scales.shape[0], shape.rows // shape.heads, shape.heads, shape.length, dtype=compute)
    arguments = (qkv.stride(), grad.stride(), of_qkv.stride(), shape.rows, shape.lines, shape.heads, shape.length)
    options = _constants(shape, LANES, compute, joined) | {"POSITIONS": relative is not None}
    with on_device(qkv):
        triton_kernels.backward_queries[grid](*inputs, of_qkv, of_scales, log_sums, means, *arguments, **options)
        triton_kernels.backward_keys[grid](*inputs, log_sums, means, of_qkv, of_scales, *arguments, **options)
        if relative is not None:
            of_relative = _table_gradient(inputs, (log_sums, means), shape, joined).to(relative.dtype)
    return of_qkv, of_relative, of_scales.sum((1, 3), dtype=torch.float64).to(scales.dtype)


def _table_gradient(inputs: tuple[Tensor, ...], kept: tuple[Tensor, Tensor], shape: _Shape, joined: bool) -> Tensor:
    """Gradient of the table in double precision, from the inputs of `backward_queries` and what it kept.

    Rows and queries are cut into chunks by shape alone, and the chunks' parts are added by torch, so the result is
    always the same.
    """
    from medt_pipeline.attention import triton_kernels

    # Lanes lie at neighbouring positions, which are to lie behind each other; to the other kernels it does not matter.
    qkv, relative, scales, grad = inputs
    inputs = (qkv.contiguous(), relative, scales, grad.contiguous())
    columns, compute = 2 * shape.length - 1, kept[0].dtype
    entries, blocks = (2 * shape.d_k + shape.d_v) * columns, _ceil(columns, TABLE_LANES)
    queries_a_chunk = _ceil(shape.length, min(_ceil(shape.length, QUERIES), max(1, MOST_PARTIALS // entries)))
    of_queries = _ceil(shape.length, queries_a_chunk)
    most = max(1, MOST_PARTIALS // (entries * of_queries))
    rows_a_chunk = _ceil(shape.rows, min(shape.rows, _ceil(PROGRAMS, blocks * of_queries), most))
    of_rows = _ceil(shape.rows, rows_a_chunk)
    partials = kept[0].new_empty(of_rows * of_queries, 2 * shape.d_k + shape.d_v, columns)
    triton_kernels.backward_table[of_rows, of_queries, blocks](
        *(*inputs, *kept, partials),
        *(inputs[0].stride(), inputs[-1].stride()),
        *(shape.rows, shape.lines, shape.heads, shape.length, rows_a_chunk, queries_a_chunk),
        **_constants(shape, TABLE_LANES, compute, joined),
    )
    return partials.sum(0, dtype=torch.float64)


def _constants(shape: _Shape, lanes: int, compute: torch.dtype, joined: bool) -> dict[str, Any]:
    """What all kernels are compiled for."""
    import triton.language as tl

    in_triton = tl.float64 if compute == torch.float64 else tl.float32
    return {
        "D_K": shape.d_k,
        "D_V": shape.d_v,
        "LANES": lanes,
        "JOINED": joined,
        "COMPUTE": in_triton,
        "num_warps": lanes // 32,
        "num_stages": 1,
    }


def _compute_dtype(qkv: Tensor, relative: Tensor | None, scales: Tensor) -> torch.dtype:
    double = any(tensor is not None and tensor.dtype == torch.float64 for tensor in (qkv, relative, scales))
    return torch.float64 if double else torch.float32


def _table_and_scales(relative: Tensor | None, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Both without gaps, as the kernels take them; they are small. A table that is absent is never read."""
    scales = scales.contiguous()
    return scales if relative is None else relative.contiguous(), scales


def on_device(tensor: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on the current device, which need not be the tensor's."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def _ceil(total: int, part: int) -> int:
    return -(-total // part)
