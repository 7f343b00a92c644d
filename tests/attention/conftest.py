from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

Inputs = tuple[Tensor, Tensor, Tensor, "Tensor | None", Tensor]


def drawn_inputs(
    shape: tuple[int, int, int, int, int], dtype: torch.dtype, positions: bool = True, spread: float = 1.0
) -> Inputs:
    """q, k, v as slices of one tensor, as the layer makes them, with a table and scales; all require gradients."""
    sequences, heads, d_k, d_v, length = shape
    generator = torch.Generator().manual_seed(sum(shape))
    normal = functools.partial(torch.randn, generator=generator, dtype=dtype)
    q, k, v = (spread * normal(sequences, heads, 2 * d_k + d_v, length)).requires_grad_().split([d_k, d_k, d_v], dim=2)
    relative = normal(2 * d_k + d_v, 2 * length - 1).requires_grad_() if positions else None
    return q, k, v, relative, normal(3 if positions else 1, heads).requires_grad_()


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def nan_in_fresh_memory() -> Iterator[None]:
    """Torch fills what `empty` returns with NaN, so that whatever a kernel leaves out shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
