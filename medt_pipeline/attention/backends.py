"""The list of backends and the choice between them."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medt_pipeline.attention import numba_cpu
from medt_pipeline.attention.operators import axial_attention_fused
from medt_pipeline.attention.reference import axial_attention_reference

VARIABLE = "MEDT_ATTENTION_BACKEND"

Attention = Callable[[Tensor, Tensor, Tensor, "Tensor | None", Tensor], "tuple[Tensor, Tensor | None]"]


@dataclass(frozen=True)
class Backend:
    """One implementation of the attention.

    Attributes:
        name: how argument and environment variable call it.
        attention: the function; same signature and meaning as `axial_attention_reference`.
        why_not: for q, k, v, relative: the reason why it cannot serve them, or None if it can.
    """

    name: str
    attention: Attention
    why_not: Callable[[Tensor, Tensor, Tensor, Tensor | None], str | None]


BACKENDS = (
    Backend("numba", axial_attention_fused, numba_cpu.why_not),
    Backend("reference", axial_attention_reference, lambda q, k, v, relative: None),
)
"""In order of preference: the first that can serve the inputs is taken."""


def choose_backend(
    q: Tensor, k: Tensor, v: Tensor, relative: Tensor | None, name: str | None = None
) -> tuple[Backend, dict[str, str]]:
    """Pick the backend for these inputs, and say for each one passed over why.

    `name`, else the environment variable MEDT_ATTENTION_BACKEND, forces one.

    Raises:
        ValueError: no backend has the forced name, or it cannot serve the inputs.
    """
    forced = name or os.environ.get(VARIABLE)
    passed_over: dict[str, str] = {}
    for backend in BACKENDS:
        if forced and backend.name != forced:
            continue
        reason = backend.why_not(q, k, v, relative)
        if reason is None:
            return backend, passed_over
        passed_over[backend.name] = reason
    if forced and forced not in {backend.name for backend in BACKENDS}:
        known = ", ".join(backend.name for backend in BACKENDS)
        raise ValueError(f"attention backend must be one of {known}; got {forced!r}")
    raise ValueError(f"attention backend {forced!r} cannot be used here: {passed_over}")


def axial_attention(
    q: Tensor, k: Tensor, v: Tensor, relative: Tensor | None, scales: Tensor, backend: str | None = None
) -> tuple[Tensor, Tensor | None]:
    """Attention along one axis; arguments and results as `axial_attention_reference` describes them.

    Args:
        q: queries (sequences, heads, d_k, L).
        k: keys, shaped like `q`.
        v: values (sequences, heads, d_v, L).
        relative: table (2 d_k + d_v, 2 L - 1), or None.
        scales: (3, heads).
        backend: name of the backend to force; None chooses by device, dtype and shape.
    """
    chosen, passed_over = choose_backend(q, k, v, relative, backend)
    if not torch.compiler.is_compiling():
        _announce(chosen.name, tuple(passed_over.items()))
    return chosen.attention(q, k, v, relative, scales)


@functools.cache
def _announce(chosen: str, passed_over: tuple[tuple[str, str], ...]) -> None:
    """Log a choice once."""
    reasons = "".join(f"; not {name}: {reason}" for name, reason in passed_over)
    logging.getLogger(__name__).info("attention backend: %s%s", chosen, reasons)
