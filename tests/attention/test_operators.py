"""The fused attention as an operator of torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from medt_pipeline.attention import axial_attention
from tests.attention.conftest import drawn_inputs

both_positions = pytest.mark.parametrize("positions", [True, False], ids=["positions", "no_positions"])


def leaves(*shape: int, positions: bool = True, dtype: torch.dtype = torch.float64) -> list[Tensor | None]:
    inputs = drawn_inputs(shape, dtype, positions)
    return [None if tensor is None else tensor.detach().clone().requires_grad_() for tensor in inputs]


def weighed(*inputs: Tensor | None) -> Tensor:
    of_values, of_positions = axial_attention(*inputs, backend="numba")
    return of_values.sin() if of_positions is None else of_values.sin() + 2 * of_positions


@both_positions
def test_gradcheck(positions: bool) -> None:
    assert torch.autograd.gradcheck(weighed, leaves(2, 2, 2, 3, 5, positions=positions))


@both_positions
def test_opcheck(positions: bool) -> None:
    inputs = leaves(2, 2, 1, 2, 5, positions=positions)
    torch.library.opcheck(torch.ops.medt_pipeline.axial_attention, inputs)
    detached = [None if tensor is None else tensor.detach() for tensor in inputs]
    gradients = [torch.randn_like(detached[2]) for _ in range(2)]
    torch.library.opcheck(torch.ops.medt_pipeline.axial_attention_backward, [*detached, *gradients])


@both_positions
def test_compiled_in_one_graph(positions: bool) -> None:
    inputs = leaves(2, 2, 1, 2, 5, positions=positions)
    present = [tensor for tensor in inputs if tensor is not None]
    compiled = torch.compile(weighed, backend="aot_eager", fullgraph=True)
    found, expected = compiled(*inputs), weighed(*inputs)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), present), torch.autograd.grad(expected.sum(), present))


def test_exported_and_run() -> None:
    class Attention(torch.nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor, relative: Tensor, scales: Tensor) -> Tensor:
            return axial_attention(q, k, v, relative, scales)[1]

    inputs = tuple(tensor.detach() for tensor in leaves(2, 2, 1, 2, 5))
    program = torch.export.export(Attention(), inputs)
    called = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert torch.ops.medt_pipeline.axial_attention.default in called
    torch.testing.assert_close(program.module()(*inputs), Attention()(*inputs))


@both_positions
def test_fake_tensors(positions: bool) -> None:
    with FakeTensorMode():
        q, k, v = (torch.empty(4, 2, channels, 6, requires_grad=True) for channels in (1, 1, 2))
        relative = torch.empty(4, 11, requires_grad=True) if positions else None
        scales = torch.empty(3 if positions else 1, 2, requires_grad=True)
        of_values, of_positions = axial_attention(q, k, v, relative, scales, backend="numba")
        assert of_values.shape == (4, 2, 2, 6)
        assert (of_positions is None) == (relative is None)
        present = [tensor for tensor in (q, k, v, relative, scales) if tensor is not None]
        gradients = torch.autograd.grad(of_values.sum(), present)
        assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in present]


def test_autocast() -> None:
    inputs = leaves(2, 2, 1, 2, 5, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = weighed(*inputs)
    torch.testing.assert_close(found, weighed(*inputs))


def test_second_derivatives_are_refused() -> None:
    inputs = leaves(1, 1, 1, 2, 3)
    (gradient,) = torch.autograd.grad(weighed(*inputs).sum(), inputs[0], create_graph=True)
    with pytest.raises(NotImplementedError, match="backend='reference'"):
        gradient.sum().backward()


def test_mixed_dtypes_are_refused_by_the_operator() -> None:
    q, k, v, relative, scales = leaves(1, 1, 1, 2, 3)
    with pytest.raises(TypeError, match="all tensors must be float32 or all float64"):
        torch.ops.medt_pipeline.axial_attention(q, k, v, relative, scales.float())
