"""The attention on the CPU: calls the fused Numba kernels, on as many threads as torch uses.

Numba and the kernels are imported, and compiled or read from Numba's cache, when they are first called.

The threads are ordinary Python threads, beside which the kernels leave the interpreter free: unlike Numba's own they
may be used from several threads at once and after a fork, and need no OpenMP or TBB.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from medt_pipeline.attention.memory_order import dense_strides, empty_result
from medt_pipeline.attention.optional_packages import import_problem

if TYPE_CHECKING:
    from medt_pipeline.attention.numba_layout import Sizes

Array = np.ndarray[Any, Any]

DTYPES = {torch.float32: np.float32, torch.float64: np.float64}
"""What the kernels compute in; half precision is brought to float32."""
MOST_CHUNKS = 64
MOST_PARTIALS = 2**23
"""Bound of chunks × gradient entries, 64 MiB: the chunks' parts of the table's gradient."""
PIECES = 4
"""Pieces of work for each thread: where something else takes one core's time, the others do more of them."""


def why_not(qkv: Tensor) -> str | None:
    """The reason why this backend cannot serve the input, or None. Second derivatives are the reference's alone."""
    if qkv.device.type != "cpu":
        return f"runs on cpu, got {qkv.device.type}"
    if not qkv.dtype.is_floating_point or qkv.element_size() == 1:
        return f"computes in float32 and float64, got {qkv.dtype}"
    return import_problem("numba")


class Job(NamedTuple):
    """Arguments of a kernel that are no views, and the memory that `sizes` points to."""

    zero: np.floating[Any]
    sizes: Sizes
    partials: Array
    keep: tuple[Tensor | Array, ...]


def forward(qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool) -> Tensor:
    """The value sums, as `axial_attention_reference`."""
    from medt_pipeline.attention import numba_kernels

    result = empty_result(qkv, relative, d_k, joined)
    if result.numel():
        job = _prepare(qkv, relative, scales, d_k, joined, entries=0)
        run(numba_kernels.forward, job, (qkv, result[:, :, 0], result[:, :, -1]))
    return result


def backward(
    qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, relative (empty without positions) and scales."""
    from medt_pipeline.attention import numba_kernels

    grad_qkv = torch.empty_strided(qkv.shape, dense_strides(qkv), dtype=qkv.dtype)
    columns, heads, channels = 2 * qkv.shape[4] - 1, qkv.shape[2], qkv.shape[3]
    of_table = channels * columns
    sums = np.zeros(of_table + 5 * heads)
    if grad.numel():
        job = _prepare(qkv, relative, scales, d_k, joined, entries=sums.size)
        run(numba_kernels.backward, job, (qkv, grad[:, :, 0], grad[:, :, -1], grad_qkv))
        sums = job.partials.sum(0)  # by numpy, whose order does not depend on a number of threads
    sums = sums.astype(DTYPES[qkv.dtype])
    grad_relative = sums[:of_table].reshape(-1, columns) if relative is not None else sums[:0]
    grad_scales = sums[of_table:].reshape(5, heads)[: scales.shape[0]]
    return grad_qkv, torch.from_numpy(grad_relative.copy()), torch.from_numpy(grad_scales.copy())


def _prepare(qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool, entries: int) -> Job:
    """Cut the work and allot scratch and, for `entries` sums over all rows, partial sums."""
    from medt_pipeline.attention.numba_layout import places

    channels, length = qkv.shape[3:]
    at = places(d_k, channels - 2 * d_k, length)
    chunks = min(blocks_of(qkv), MOST_CHUNKS, max(1, MOST_PARTIALS // max(entries, 1)))
    scales = scales.contiguous()
    table = np.zeros((0 if relative is None else channels, at.offset_stride), DTYPES[qkv.dtype])
    if relative is not None:
        table[:, : 2 * length - 1] = relative.numpy()
        table[d_k : 2 * d_k, : 2 * length - 1] = table[d_k : 2 * d_k, 2 * length - 2 :: -1].copy()
    addresses = {"scales": scales.data_ptr(), "table": address(table)}
    flags = {"positions": int(relative is not None), "joined": int(joined)}
    return make_job(qkv, d_k, chunks, at.end, entries, (scales, table), **addresses, **flags)


def make_job(
    qkv: Tensor,
    d_k: int,
    chunks: int,
    registers: int,
    entries: int,
    keep: tuple[Tensor | Array, ...] = (),
    scales: int = 0,
    table: int = 0,
    positions: int = 0,
    joined: int = 0,
) -> Job:
    """Allot the scratch of each thread, of so many `registers`, and partial sums of `entries` for each chunk.

    The others are fields of `Sizes` and what must live as long as their addresses are used.
    """
    from medt_pipeline.attention.numba_layout import BYTES, Sizes

    cases, lines, heads, channels, length = qkv.shape
    dtype, lanes = DTYPES[qkv.dtype], BYTES // qkv.element_size()
    scratch: Array = np.zeros(min(torch.get_num_threads(), chunks) * registers * lanes, dtype)
    partials: Array = np.zeros((chunks if entries else 0, entries))
    sizes = Sizes(
        cases=cases,
        lines=lines,
        heads=heads,
        d_k=d_k,
        d_v=channels - 2 * d_k,
        length=length,
        lanes=lanes,
        positions=positions,
        joined=joined,
        chunks=chunks,
        scales=scales,
        table=table,
        scratch=address(scratch),
        partials=address(partials),
    )
    return Job(dtype(0), sizes, partials, (*keep, scratch))


def blocks_of(qkv: Tensor) -> int:
    """Blocks of rows, each of which fills the lanes of a register."""
    from medt_pipeline.attention.numba_layout import BYTES

    cases, lines, heads = qkv.shape[:3]
    return -(-cases * lines * heads // (BYTES // qkv.element_size()))


def address(array: Array) -> int:
    """Where the array's first element lies in memory."""
    return array.__array_interface__["data"][0]


def run(kernel: Callable[..., None], job: Job, tensors: tuple[Tensor, ...], *addresses: int) -> None:
    """Call a kernel for all chunks, on torch's number of threads."""
    from medt_pipeline.attention.numba_layout import View

    arguments = (job.zero, job.sizes, *[View(x.data_ptr(), *x.stride()) for x in tensors], *addresses)
    share_chunks(kernel, arguments, job.sizes.chunks)


def share_chunks(kernel: Callable[..., None], arguments: tuple[Any, ...], chunks: int) -> None:
    """Call `kernel(*arguments, first chunk, last chunk, thread)` for all chunks, on torch's number of threads."""
    threads = min(torch.get_num_threads(), chunks)
    if threads == 1:
        kernel(*arguments, 0, chunks, 0)
        return
    pieces = min(chunks, PIECES * threads)
    waiting = deque(range(pieces))

    def work(thread: int) -> None:
        while True:
            try:
                piece = waiting.popleft()
            except IndexError:
                return
            kernel(*arguments, piece * chunks // pieces, (piece + 1) * chunks // pieces, thread)

    helpers = [_pool(os.getpid()).submit(work, thread) for thread in range(1, threads)]
    try:
        work(0)
    finally:  # even where interrupted: a helper still writes to memory that would be freed
        for helper in helpers:
            if not helper.cancel():  # one that has not begun finds no work left
                helper.result()


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The helper threads of this process; a forked one gets its own."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="medt-attention")
