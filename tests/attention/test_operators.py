"""The fused attention as an operator of torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from medt_pipeline.attention import axial_attention
from medt_pipeline.attention.memory_order import dense_strides
from tests.attention.conftest import Inputs, Order, both_orders, drawn_inputs, every_backend, every_form


def weighed(backend: str, joined: bool) -> Callable[..., Tensor]:
    def function(qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int) -> Tensor:
        result = axial_attention(qkv, relative, scales, d_k, joined, backend)
        return result[:, :, 0].sin() + 2 * result[:, :, -1]

    return function


def operators(backend: str) -> tuple[torch._ops.OpOverloadPacket, torch._ops.OpOverloadPacket]:
    ours = torch.ops.medt_pipeline
    return getattr(ours, f"axial_attention_{backend}"), getattr(ours, f"axial_attention_{backend}_backward")


@every_backend
@every_form
def test_gradcheck(backend: str, device: str, positions: bool, joined: bool) -> None:
    # Fewer entries than elsewhere: it differentiates each numerically, and the interpreter is slow.
    inputs = drawn_inputs((1, 1, 2, 1, 2, 3), torch.float64, positions, device=device)
    assert torch.autograd.gradcheck(weighed(backend, joined), tuple(inputs))


@every_backend
@every_form
@both_orders
def test_opcheck(backend: str, device: str, positions: bool, joined: bool, order: Order) -> None:
    inputs = drawn_inputs((2, 3, 2, 1, 2, 5), torch.float64, positions, device=device, order=order)
    forward, backward = operators(backend)
    torch.library.opcheck(forward, (*inputs, joined))
    detached = [value.detach() if isinstance(value, Tensor) else value for value in inputs]
    gradient = torch.randn_like(forward(*detached, joined))
    torch.library.opcheck(backward, (*detached, joined, gradient))


@every_backend
@every_form
def test_compiled_in_one_graph(backend: str, device: str, positions: bool, joined: bool) -> None:
    inputs = drawn_inputs((2, 1, 2, 1, 2, 5), torch.float64, positions, device=device)
    present = [*inputs.tensors().values()]
    function = weighed(backend, joined)
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    found, expected = compiled(*inputs), function(*inputs)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), present), torch.autograd.grad(expected.sum(), present))


@every_backend
def test_exported_and_run(backend: str, device: str) -> None:
    class Attention(torch.nn.Module):
        def forward(self, qkv: Tensor, relative: Tensor, scales: Tensor) -> Tensor:
            return axial_attention(qkv, relative, scales, 1, backend=backend)

    inputs = drawn_inputs((2, 1, 2, 1, 2, 5), torch.float64, device=device)
    tensors = tuple(tensor.detach() for tensor in inputs.tensors().values())
    program = torch.export.export(Attention(), tensors)
    called = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert operators(backend)[0].default in called
    torch.testing.assert_close(program.module()(*tensors), Attention()(*tensors))


@every_backend
@every_form
@both_orders
def test_fake_tensors_have_shape_and_memory_order(
    backend: str, device: str, positions: bool, joined: bool, order: Order
) -> None:
    real = drawn_inputs((4, 3, 2, 1, 2, 6), torch.float32, positions, device=device, order=order)
    expected = axial_attention(*real, joined=joined, backend=backend)
    with FakeTensorMode() as mode:
        fake = Inputs(
            *(mode.from_tensor(value) if isinstance(value, Tensor) else value for value in real),  # type: ignore[arg-type]
        )
        result = axial_attention(*fake, joined=joined, backend=backend)
        assert (result.shape, result.stride()) == (expected.shape, expected.stride())
        gradients = torch.autograd.grad(result.sum(), [*fake.tensors().values()])
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in real.tensors().values()]
    assert list(gradients[0].stride()) == dense_strides(real.qkv)


@every_backend
@pytest.mark.parametrize("joined", [False, True], ids=["apart", "joined"])
def test_autocast(backend: str, device: str, joined: bool) -> None:
    inputs = drawn_inputs((2, 1, 2, 1, 2, 5), torch.float32, device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        found = weighed(backend, joined)(*inputs)
    torch.testing.assert_close(found, weighed(backend, joined)(*inputs))


@every_backend
def test_second_derivatives_are_refused(backend: str, device: str) -> None:
    inputs = drawn_inputs((1, 1, 1, 1, 2, 3), torch.float64, device=device)
    total = weighed(backend, False)(*inputs).sum()
    (gradient,) = torch.autograd.grad(total, inputs.qkv, create_graph=True)
    with pytest.raises(NotImplementedError, match="backend='reference'"):
        gradient.sum().backward()


def test_numba_takes_one_dtype() -> None:
    qkv, relative, scales, d_k = drawn_inputs((1, 1, 1, 1, 2, 3), torch.float64)
    with pytest.raises(TypeError, match="all tensors must have one dtype of float32, float64; got"):
        torch.ops.medt_pipeline.axial_attention_numba(qkv, relative, scales.float(), d_k, False)


def test_triton_takes_one_dtype_of_input_and_gradient() -> None:
    qkv, relative, scales, d_k = drawn_inputs((1, 1, 1, 1, 2, 3), torch.float64)
    gradient = torch.zeros(1, 1, 2, 1, 2, 3)
    with pytest.raises(TypeError, match="qkv and its gradient must have one dtype of float16, .*; got"):
        torch.ops.medt_pipeline.axial_attention_triton_backward(qkv, relative, scales, d_k, False, gradient)
