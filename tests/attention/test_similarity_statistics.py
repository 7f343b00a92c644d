"""The closed forms against statistics of maps that are written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medt_pipeline.attention import similarity_statistics
from medt_pipeline.attention.reference import gather_offsets
from tests.attention.conftest import drawn_inputs

SHAPES = [(1, 1, 1, 1, 1), (3, 2, 1, 2, 2), (2, 3, 2, 4, 5), (4, 2, 3, 2, 17)]
both_positions = pytest.mark.parametrize("positions", [True, False], ids=["positions", "no_positions"])


def _reference_statistics(q: Tensor, k: Tensor, relative: Tensor | None) -> tuple[Tensor, Tensor, int]:
    maps = [torch.einsum("nhci,nhcj->hnij", q, k)]
    if relative is not None:
        r_q, r_k = gather_offsets(relative[: 2 * q.shape[2]], q.shape[-1]).chunk(2)
        maps += [torch.einsum("nhci,cij->hnij", q, r_q), torch.einsum("nhcj,cji->hnij", k, r_k)]
    rows = torch.stack(maps).flatten(2)
    return rows.mean(-1), rows.var(-1, unbiased=False), rows.shape[-1]


@both_positions
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "n{}_h{}_dk{}_dv{}_L{}".format(*shape))
def test_values_and_gradients(shape: tuple[int, ...], positions: bool) -> None:
    q, k, _, relative, _ = drawn_inputs(shape, torch.float64, positions)
    found, (mean, variance, count) = similarity_statistics(q, k, relative), _reference_statistics(q, k, relative)
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.variance, variance)
    assert found.count == count
    inputs = [tensor for tensor in (q, k, relative) if tensor is not None]
    weights = torch.linspace(1, 2, mean.numel(), dtype=mean.dtype).view_as(mean)
    gradients = torch.autograd.grad((weights * (found.mean + found.variance)).sum(), inputs, allow_unused=True)
    expected = torch.autograd.grad((weights * (mean + variance)).sum(), inputs, allow_unused=True)
    torch.testing.assert_close(gradients, expected)


def test_single_precision_with_a_mean_far_above_the_spread() -> None:
    q, k, _, relative, _ = drawn_inputs((8, 2, 2, 2, 16), torch.float64)
    q, k, relative = (1000 + tensor.detach() for tensor in (q, k, relative))
    single = [tensor.float() for tensor in (q, k, relative)]
    mean, variance, _ = _reference_statistics(*(tensor.double() for tensor in single))
    found = similarity_statistics(*single)
    assert (mean**2 > 1e5 * variance).all()
    torch.testing.assert_close(found.mean.double(), mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.variance.double(), variance, rtol=1e-4, atol=0)
