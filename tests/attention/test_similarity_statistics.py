"""The closed forms against statistics of maps that are written out, and the fused moments against plain torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medt_pipeline.attention import numba_moments_cpu, sequence_moments, similarity_statistics
from medt_pipeline.attention.memory_order import dense_strides
from medt_pipeline.attention.reference import gather_offsets
from medt_pipeline.attention.sequence_moments import Moments, fused_moments, sequence_moments_reference
from tests.attention.conftest import Order, both_dtypes, both_orders, both_positions, drawn_inputs, spelled

SHAPES = [
    (1, 1, 1, 1, 1, 1),
    (3, 1, 2, 1, 2, 2),
    (2, 1, 3, 2, 4, 5),
    (2, 2, 2, 3, 2, 17),
    (2, 7, 8, 1, 2, 4),
    (1, 1, 5, 4, 8, 6),
    (3, 5, 6, 2, 4, 9),
]
"""Heads that divide the lanes of a register and that do not; blocks that are full and that are not; one line."""
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def _reference_statistics(qkv: Tensor, relative: Tensor | None, d_k: int) -> tuple[Tensor, Tensor, int]:
    q, k = qkv[:, :, :, : 2 * d_k].flatten(0, 1).split(d_k, 2)
    maps = [torch.einsum("nhci,nhcj->hnij", q, k)]
    if relative is not None:
        r_q, r_k = gather_offsets(relative[: 2 * d_k], q.shape[-1]).chunk(2)
        maps += [torch.einsum("nhci,cij->hnij", q, r_q), torch.einsum("nhcj,cji->hnij", k, r_k)]
    rows = torch.stack(maps).flatten(2)
    return rows.mean(-1), rows.var(-1, unbiased=False), rows.shape[-1]


@both_positions
@both_orders
@pytest.mark.parametrize("backend", ["numba", "reference"])
@pytest.mark.parametrize("shape", SHAPES, ids=spelled)
def test_values_and_gradients(
    shape: tuple[int, ...], backend: str, order: Order, positions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", backend)
    qkv, relative, _, d_k = drawn_inputs(shape, torch.float64, positions, order=order)
    found = similarity_statistics(qkv, relative, d_k)
    mean, variance, count = _reference_statistics(qkv, relative, d_k)
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.variance, variance)
    assert found.count == count
    inputs = [tensor for tensor in (qkv, relative) if tensor is not None]
    weights = torch.linspace(1, 2, mean.numel(), dtype=mean.dtype).view_as(mean)
    gradients = torch.autograd.grad((weights * (found.mean + found.variance)).sum(), inputs)
    expected = torch.autograd.grad((weights * (mean + variance)).sum(), inputs)
    torch.testing.assert_close(gradients, expected)


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_single_precision_with_a_mean_far_above_the_spread(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", backend)
    drawn = drawn_inputs((8, 1, 2, 2, 2, 16), torch.float64).map(lambda tensor: (1000 + tensor).float())
    qkv, relative, _, d_k = drawn.map(torch.Tensor.double)
    mean, variance, _ = _reference_statistics(qkv, relative, d_k)
    found = similarity_statistics(drawn.qkv, drawn.relative, d_k)
    assert (mean**2 > 1e5 * variance).all()
    torch.testing.assert_close(found.mean.double(), mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.variance.double(), variance, rtol=1e-4, atol=0)


def _results(moments: Callable[[Tensor, int, bool], Moments], qkv: Tensor, d_k: int, positions: bool) -> list[Tensor]:
    """The moments, and the gradient of a sum that weighs each of their entries differently."""
    found = moments(qkv, d_k, positions)
    weights = [torch.linspace(-1, 1, part.numel()).view(part.shape).to(part) for part in found]
    total = sum((part * weight).sum() for part, weight in zip(found, weights, strict=True))
    return [*found, *torch.autograd.grad(total, qkv)]


@both_dtypes
@both_positions
@both_orders
@pytest.mark.parametrize("shape", SHAPES, ids=spelled)
def test_fused_moments_and_gradients(shape: tuple[int, ...], order: Order, positions: bool, dtype: torch.dtype) -> None:
    qkv, _, _, d_k = drawn_inputs(shape, dtype, order=order)
    found = _results(fused_moments, qkv, d_k, positions)
    expected = _results(sequence_moments_reference, qkv.detach().double().requires_grad_(), d_k, positions)
    for ours, theirs in zip(found, expected, strict=True):
        largest = theirs.detach().abs().max().item() if theirs.numel() else 0.0
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=TOLERANCE[dtype] * max(largest, 1.0))
    assert list(found[-1].stride()) == dense_strides(qkv)


@both_positions
@both_orders
def test_fused_moments_as_an_operator(order: Order, positions: bool) -> None:
    qkv, _, _, d_k = drawn_inputs((2, 1, 3, 2, 2, 3), torch.float64, order=order)
    torch.library.opcheck(fused_moments, (qkv, d_k, positions))
    assert torch.autograd.gradcheck(lambda x: fused_moments(x, d_k, positions)[: 4 if positions else 2], qkv)


@both_orders
def test_fused_moments_have_the_same_bits_with_one_and_two_threads(
    order: Order, set_threads: Callable[[int], None]
) -> None:
    qkv, _, _, d_k = drawn_inputs((4, 10, 6, 2, 4, 8), torch.float32, order=order)
    found = []
    for threads in (1, 2, 2):
        set_threads(threads)
        found.append(_results(fused_moments, qkv, d_k, True))
    for other in found[1:]:
        assert all(torch.equal(part, first) for part, first in zip(other, found[0], strict=True))


def test_too_many_products_are_left_to_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert numba_moments_cpu.why_not(torch.empty(1, 1, 1, 4, 64, device="meta"), 1) is None
    assert numba_moments_cpu.why_not(torch.empty(1, 1, 1, 256, 1024, device="meta"), 64) is not None
    qkv, _, _, d_k = drawn_inputs((1, 2, 2, 2, 2, 4), torch.float64)
    monkeypatch.setattr(numba_moments_cpu, "MOST_SCRATCH", 1)
    monkeypatch.setattr(sequence_moments, "fused_moments", None)
    found = sequence_moments.sequence_moments(qkv, d_k, True)
    torch.testing.assert_close(found, sequence_moments_reference(qkv, d_k, True))
