"""The list of backends and the choice between them."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from medt_pipeline.attention import numba_cpu, triton_gpu
from medt_pipeline.attention.operators import Attention, in_one_precision, make_attention
from medt_pipeline.attention.reference import axial_attention_reference

VARIABLE = "MEDT_ATTENTION_BACKEND"


@dataclass(frozen=True)
class Backend:
    """One implementation of the attention.

    Attributes:
        name: how argument and environment variable call it.
        attention: the function; same signature and meaning as `axial_attention_reference`.
        why_not: the reason why it cannot serve a given `qkv`, or None if it can.
    """

    name: str
    attention: Attention
    why_not: Callable[[Tensor], str | None]


_numba = make_attention("numba", numba_cpu.forward, numba_cpu.backward, "cpu", tuple(numba_cpu.DTYPES), mixed=False)
_triton = make_attention(
    "triton", triton_gpu.forward, triton_gpu.backward, ("cpu", "cuda"), triton_gpu.DTYPES, mixed=True
)

BACKENDS = (
    Backend("numba", in_one_precision(_numba), numba_cpu.why_not),
    Backend("triton", _triton, triton_gpu.why_not),
    Backend("reference", axial_attention_reference, lambda qkv: None),
)
"""In order of preference: the first that can serve the inputs is taken."""


def choose_backend(qkv: Tensor, name: str | None = None) -> tuple[Backend, dict[str, str]]:
    """Pick the backend for this input, and say for each one passed over why.

    `name`, else the environment variable MEDT_ATTENTION_BACKEND, forces one.

    Raises:
        ValueError: no backend has the forced name, or it cannot serve the input.
    """
    forced = name or os.environ.get(VARIABLE)
    passed_over: dict[str, str] = {}
    for backend in BACKENDS:
        if forced and backend.name != forced:
            continue
        reason = backend.why_not(qkv)
        if reason is None:
            return backend, passed_over
        passed_over[backend.name] = reason
    if forced and forced not in {backend.name for backend in BACKENDS}:
        known = ", ".join(backend.name for backend in BACKENDS)
        raise ValueError(f"attention backend must be one of {known}; got {forced!r}")
    raise ValueError(f"attention backend {forced!r} cannot be used here: {passed_over}")


def axial_attention(
    qkv: Tensor,
    relative: Tensor | None,
    scales: Tensor,
    d_k: int,
    joined: bool = False,
    backend: str | None = None,
) -> Tensor:
    """Attention along one axis; arguments and result as `axial_attention_reference` describes them.

    Args:
        qkv: (cases, lines, heads, 2 d_k + d_v, L), with any strides; the result lies in memory in the same order.
        relative: table (2 d_k + d_v, 2 L - 1), or None.
        scales: (5, heads), or (1, heads) without positions.
        d_k: channels of a query.
        joined: whether to add the two value sums.
        backend: name of the backend to force; None chooses by device and dtype.

    Returns:
        (cases, lines, parts, heads, d_v, L).
    """
    chosen, passed_over = choose_backend(qkv, backend)
    if not torch.compiler.is_compiling():
        _announce(chosen.name, tuple(passed_over.items()))
    return chosen.attention(qkv, relative, scales, d_k, joined)


@contextmanager
def forced_backend(name: str) -> Iterator[None]:
    """Force one backend for all networks of the process, as the environment variable does, and undo it afterwards."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


@functools.cache
def _announce(chosen: str, passed_over: tuple[tuple[str, str], ...]) -> None:
    """Log a choice once."""
    reasons = "".join(f"; not {name}: {reason}" for name, reason in passed_over)
    logging.getLogger(__name__).info("attention backend: %s%s", chosen, reasons)
