"""The attention on the CPU: calls the fused Numba kernels, on as many threads as torch uses.

Numba and the kernels are imported, and compiled or read from Numba's cache, when they are first called.

The threads are ordinary Python threads, beside which the kernels leave the interpreter free: unlike Numba's own they
may be used from several threads at once and after a fork, and need no OpenMP or TBB.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from medt_pipeline.attention.numba_layout import Sizes

_Array = np.ndarray[Any, Any]

DTYPES = {torch.float32: np.float32, torch.float64: np.float64}
"""What the kernels compute in; half precision is brought to float32."""
MOST_CHUNKS = 64
MOST_PARTIALS = 2**23
"""Bound of chunks × gradient entries, 64 MiB: the chunks' parts of the table's gradient."""
_INSTALLED = importlib.util.find_spec("numba") is not None
PIECES = 4
"""Pieces of work for each thread: where something else takes one core's time, the others do more of them."""


def import_problem() -> str | None:
    """Why numba cannot be imported, with one warning; None if it can."""
    if torch.compiler.is_compiling():
        # An import cannot be traced; and a decorator of torch.compiler would import torch._dynamo, two seconds' work.
        return None if _INSTALLED else "numba is not installed"
    return _try_import()


@functools.cache
def _try_import() -> str | None:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        warnings.warn(
            f"numba cannot be imported ({error}): attention on the CPU falls back to the much slower plain torch. "
            "Run: pip install numba",
            RuntimeWarning,
            stacklevel=3,
        )
        return f"numba cannot be imported: {error}"
    return None


def why_not(q: Tensor, k: Tensor, v: Tensor, relative: Tensor | None) -> str | None:
    """The reason why this backend cannot serve the inputs, or None. Second derivatives are the reference's alone."""
    if q.device.type != "cpu":
        return f"runs on cpu, got {q.device.type}"
    if not q.dtype.is_floating_point or q.element_size() == 1:
        return f"computes in float32 and float64, got {q.dtype}"
    return import_problem()


class _Job(NamedTuple):
    """Arguments of a kernel that are no views, and the memory that `sizes` points to."""

    zero: np.floating[Any]
    sizes: Sizes
    partials: _Array
    keep: tuple[Tensor, _Array, _Array]


def forward(q: Tensor, k: Tensor, v: Tensor, relative: Tensor | None, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Both value sums, as `axial_attention_reference`; without positions the second is empty."""
    from medt_pipeline.attention import numba_kernels

    of_values = v.new_empty(v.shape)
    of_positions = v.new_empty(v.shape if relative is not None else 0)
    if v.numel():
        job = _prepare(q, v, relative, scales, entries=0)
        second = of_positions if relative is not None else of_values
        _run(numba_kernels.forward, job, (q, k, v, of_values, second))
    return of_values, of_positions


def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    relative: Tensor | None,
    scales: Tensor,
    grad_values: Tensor,
    grad_positions: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, relative (empty without positions) and scales."""
    from medt_pipeline.attention import numba_kernels

    grads = q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)
    columns, heads = 2 * q.shape[-1] - 1, q.shape[1]
    of_table = (2 * q.shape[2] + v.shape[2]) * columns
    sums = np.zeros(of_table + 3 * heads)
    if v.numel():
        job = _prepare(q, v, relative, scales, entries=sums.size)
        second = grad_positions if relative is not None else grad_values
        _run(numba_kernels.backward, job, (q, k, v, grad_values, second, *grads))
        sums = job.partials.sum(0)  # by numpy, whose order does not depend on a number of threads
    sums = sums.astype(DTYPES[q.dtype])
    grad_relative = sums[:of_table].reshape(-1, columns) if relative is not None else sums[:0]
    grad_scales = sums[of_table:].reshape(3, heads)[: scales.shape[0]]
    return *grads, torch.from_numpy(grad_relative.copy()), torch.from_numpy(grad_scales.copy())


def _prepare(q: Tensor, v: Tensor, relative: Tensor | None, scales: Tensor, entries: int) -> _Job:
    """Cut the work and allot scratch and, for `entries` sums over all rows, partial sums."""
    from medt_pipeline.attention.numba_layout import BYTES, Sizes, places

    sequences, heads, d_k, length = q.shape
    dtype = DTYPES[q.dtype]
    at = places(d_k, v.shape[2], length)
    lanes = BYTES // q.element_size()
    blocks = -(-sequences * heads // lanes)
    chunks = min(blocks, MOST_CHUNKS, max(1, MOST_PARTIALS // max(entries, 1)))
    scales = scales.contiguous()
    table = np.zeros((0 if relative is None else relative.shape[0], at.offset_stride), dtype)
    if relative is not None:
        table[:, : 2 * length - 1] = relative.numpy()
        table[d_k : 2 * d_k, : 2 * length - 1] = table[d_k : 2 * d_k, 2 * length - 2 :: -1].copy()
    scratch = np.zeros(min(torch.get_num_threads(), chunks) * at.end * lanes, dtype)
    partials = np.zeros((chunks if entries else 0, entries))
    sizes = Sizes(
        sequences=sequences,
        heads=heads,
        d_k=d_k,
        d_v=v.shape[2],
        length=length,
        lanes=lanes,
        positions=int(relative is not None),
        chunks=chunks,
        scales=scales.data_ptr(),
        table=_address(table),
        scratch=_address(scratch),
        partials=_address(partials),
    )
    return _Job(dtype(0), sizes, partials, (scales, table, scratch))


def _address(array: _Array) -> int:
    return array.__array_interface__["data"][0]


def _run(kernel: Callable[..., None], job: _Job, tensors: tuple[Tensor, ...]) -> None:
    """Call a kernel for all chunks, on torch's number of threads."""
    from medt_pipeline.attention.numba_layout import View

    arguments = (job.zero, job.sizes, *[View(x.data_ptr(), *x.stride()) for x in tensors])
    chunks = job.sizes.chunks
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
