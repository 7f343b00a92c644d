"""Moments of queries and keys on the CPU: calls the fused Numba kernels, on as many threads as torch uses."""

from __future__ import annotations

import torch
from torch import Tensor

from medt_pipeline.attention.memory_order import dense_strides
from medt_pipeline.attention.numba_cpu import MOST_CHUNKS, MOST_PARTIALS, Job, blocks_of, make_job, run

MOST_SCRATCH = 2**26
"""Bytes of a thread's scratch; what would need more is left to plain torch."""

BLOCKS_A_CHUNK = 8
"""Fewest blocks in a chunk: bringing a chunk's sums to their heads costs about as much as a block."""


def why_not(qkv: Tensor, d_k: int) -> str | None:
    """The reason why the kernels cannot serve the input, or None."""
    if 2 * d_k * (d_k + 1) * qkv.shape[-1] * 2 * 64 > MOST_SCRATCH:
        return f"{d_k} channels of {qkv.shape[-1]} positions have too many products"
    return None


def forward(qkv: Tensor, d_k: int, positions: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The moments, as `sequence_moments_reference`."""
    from medt_pipeline.attention import numba_moments

    cases, lines, heads, _, length = qkv.shape
    constant, rest = (qkv.new_empty(cases * lines, heads) for _ in range(2))
    entries = 2 * d_k * (d_k + 1) * length
    job = _prepare(qkv, d_k, entries * heads)
    run(numba_moments.forward, job, (qkv,), constant.data_ptr(), rest.data_ptr())
    if not positions:
        return constant, rest, qkv.new_empty(0), qkv.new_empty(0)
    sums = torch.from_numpy(job.partials.sum(0)).view(2, d_k + 1, d_k, length, heads) / (cases * lines)
    mean = sums[:, 0]
    moment = sums[:, 1:] - mean[:, :, None] * mean[:, None]
    return (
        constant,
        rest,
        mean.permute(3, 0, 1, 2).to(qkv.dtype).contiguous(),
        moment.permute(4, 0, 2, 1, 3).to(qkv.dtype).contiguous(),
    )


def backward(
    qkv: Tensor,
    position_mean: Tensor,
    d_k: int,
    of_constant: Tensor,
    of_rest: Tensor,
    of_mean: Tensor,
    of_moment: Tensor,
) -> Tensor:
    """Gradient of `qkv`; zero for the values."""
    from medt_pipeline.attention import numba_moments

    cases, lines, heads, channels, length = qkv.shape
    grad = torch.empty_strided(qkv.shape, dense_strides(qkv), dtype=qkv.dtype)
    grad[:, :, :, 2 * d_k : channels] = 0
    coefficients = qkv.new_zeros(2, d_k + 1, d_k, length, heads)
    if position_mean.numel():
        both = (of_moment + of_moment.transpose(2, 3)) / (cases * lines)  # (heads, 2, c, d, L)
        constant = of_mean / (cases * lines) - torch.einsum("hxcdi,hxdi->hxci", both, position_mean)
        coefficients[:, 0] = constant.permute(1, 2, 3, 0)
        coefficients[:, 1:] = both.permute(1, 3, 2, 4, 0)
    of_constant, of_rest = of_constant.contiguous(), of_rest.contiguous()
    addresses = of_constant.data_ptr(), of_rest.data_ptr(), coefficients.data_ptr()
    run(numba_moments.backward, _prepare(qkv, d_k, 0), (qkv, grad), *addresses)
    return grad


def _prepare(qkv: Tensor, d_k: int, entries: int) -> Job:
    """Cut the work and allot scratch and, for `entries` sums over all rows, partial sums."""
    from medt_pipeline.attention.numba_moments import moment_places

    chunks = max(min(blocks_of(qkv) // BLOCKS_A_CHUNK, MOST_CHUNKS, MOST_PARTIALS // max(entries, 1)), 1)
    return make_job(qkv, d_k, chunks, moment_places(d_k, qkv.shape[4]).end, entries)
