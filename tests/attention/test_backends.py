"""Every backend against the reference: results, every gradient, memory order, and the choice between them."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from medt_pipeline.attention import axial_attention, choose_backend, forced_backend, optional_packages, triton_gpu
from medt_pipeline.attention.backends import BACKENDS, VARIABLE, _announce
from medt_pipeline.attention.memory_order import dense_strides, empty_result
from tests.attention.conftest import (
    FORMS,
    FUSED,
    ORDERS,
    Inputs,
    Order,
    both_dtypes,
    both_orders,
    drawn_inputs,
    every_backend,
    every_form,
    spelled,
)

SHAPES = [
    (1, 1, 1, 1, 1, 1),
    (3, 1, 2, 1, 2, 2),
    (2, 3, 1, 2, 4, 3),
    (5, 1, 3, 1, 2, 5),
    (4, 4, 1, 3, 1, 4),
    (1, 2, 5, 3, 5, 17),
    (1, 1, 3, 1, 2, 64),
    (1, 3, 8, 1, 2, 64),
    (2, 1, 4, 16, 32, 8),
    (1, 1, 1, 64, 64, 6),
    (2, 9, 4, 2, 4, 6),
    (1, 1, 1, 2, 3, 66),
    (1, 1, 2, 2, 3, 130),
    (1, 1, 1, 1, 2, 1024),
    (1, 1, 1, 24, 48, 6),
]
MOST_INTERPRETED, LONGEST_INTERPRETED = 200, 20
"""Rows × length, and length: Triton's interpreter needs minutes for more. Of these 10 rows of L = 17 have several
programs, and several chunks of queries and offsets, the last ones ragged."""
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def every_case() -> Iterator[Any]:
    """Backend, device, shape, order and dtype. The interpreter is slow: small shapes, one order and dtype."""
    for backend, shape, order, dtype in itertools.product(FUSED, SHAPES, ORDERS, TOLERANCE):
        cases, lines, heads, _, _, length = shape
        variant = ORDERS[SHAPES.index(shape) % 2], tuple(TOLERANCE)[SHAPES.index(shape) // 2 % 2]
        few = cases * lines * heads * length <= MOST_INTERPRETED and length <= LONGEST_INTERPRETED
        interpreted = few and (order, dtype) == variant
        if backend.id != "triton_interpreted" or interpreted:
            name = f"{backend.id}-{spelled(shape)}-{order}-{str(dtype).removeprefix('torch.')}"
            yield pytest.param(*backend.values, shape, order, dtype, id=name, marks=backend.marks)


def results(inputs: Inputs, joined: bool, backend: str) -> dict[str, Tensor]:
    """Result, and gradients of a sum that weighs each of its entries differently; checks their memory order."""
    result = axial_attention(*inputs, joined=joined, backend=backend)
    weight = torch.linspace(-1, 1, result.numel()).view(result.shape).to(result)
    tensors = inputs.tensors()
    gradients = torch.autograd.grad((result * weight).sum(), list(tensors.values()))
    if backend != "reference":
        assert result.stride() == empty_result(inputs.qkv, inputs.relative, inputs.d_k, joined).stride()
        assert list(gradients[0].stride()) == dense_strides(inputs.qkv)
    named = {f"gradient of {name}": gradient for name, gradient in zip(tensors, gradients, strict=True)}
    return {"result": result.detach()} | named


def assert_equal_to_reference(inputs: Inputs, joined: bool, backend: str, tolerance: float) -> None:
    """Within `tolerance`, times the largest entry, of the reference in double precision."""
    found = results(inputs, joined, backend)
    expected = results(inputs.map(torch.Tensor.double), joined, "reference")
    for name, tensor in expected.items():
        largest = tensor.abs().max().item() if tensor.numel() else 0.0
        torch.testing.assert_close(
            found[name].double(),
            tensor,
            rtol=0,
            atol=tolerance * max(largest, 1.0),
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_every_backend_is_tested() -> None:
    assert {param.values[0] for param in FUSED} == {backend.name for backend in BACKENDS} - {"reference"}


@every_form
@pytest.mark.parametrize(("backend", "device", "shape", "order", "dtype"), every_case())
def test_result_and_gradients(
    shape: tuple[int, ...],
    order: Order,
    dtype: torch.dtype,
    backend: str,
    device: str,
    positions: bool,
    joined: bool,
) -> None:
    # So that q·k is of the size of 1 with many channels too: else single precision loses digits whatever the backend.
    spread = shape[3] ** -0.25
    inputs = drawn_inputs(shape, dtype, positions, spread, device, order)
    assert_equal_to_reference(inputs, joined, backend, TOLERANCE[dtype])


@pytest.mark.parametrize("joined", [False, True], ids=["apart", "joined"])
@pytest.mark.parametrize("term", range(5))
@every_backend
def test_a_closed_gate_has_its_gradient(backend: str, device: str, term: int, joined: bool) -> None:
    inputs = drawn_inputs((2, 1, 2, 2, 3, 4), torch.float64, device=device)
    scales = inputs.scales.detach().clone()
    scales[term] = 0
    inputs = inputs._replace(scales=scales.requires_grad_())
    assert results(inputs, joined, backend)["gradient of scales"][term].all()
    assert_equal_to_reference(inputs, joined, backend, 1e-12)


@every_form
@every_backend
@pytest.mark.parametrize("shape", SHAPES[1:5], ids=spelled)
def test_nothing_is_left_unwritten(
    shape: tuple[int, ...], backend: str, device: str, positions: bool, joined: bool, nan_in_fresh_memory: None
) -> None:
    assert torch.empty(1, device=device).isnan()
    found = results(drawn_inputs(shape, torch.float32, positions, device=device), joined, backend)
    assert all(tensor.isfinite().all() for tensor in found.values())


@every_backend
@every_form
def test_any_strides(backend: str, device: str, positions: bool, joined: bool) -> None:
    inputs = drawn_inputs((2, 1, 3, 2, 4, 5), torch.float64, positions, device=device)
    with_gaps = inputs.map(lambda x: x.repeat_interleave(2, -1)[..., ::2])
    assert_equal_to_reference(with_gaps, joined, backend, 1e-12)
    reversed_order = inputs.map(lambda x: x.permute(*range(x.ndim)[::-1]).contiguous().permute(*range(x.ndim)[::-1]))
    assert_equal_to_reference(reversed_order, joined, backend, 1e-12)
    repeated = inputs.qkv.detach()[:1].expand(2, -1, -1, -1, -1).requires_grad_()
    assert_equal_to_reference(inputs._replace(qkv=repeated), joined, backend, 1e-12)


@every_backend
@every_form
@both_orders
@pytest.mark.parametrize("sequences", [(0, 3), (3, 0)], ids=["no_cases", "no_lines"])
def test_no_sequences(
    backend: str, device: str, positions: bool, joined: bool, order: Order, sequences: tuple[int, int]
) -> None:
    inputs = drawn_inputs((*sequences, 2, 1, 2, 4), torch.float32, positions, device=device, order=order)
    found = results(inputs, joined, backend)
    assert found["result"].shape == (*sequences, 2 if positions and not joined else 1, 2, 2, 4)
    assert all(not tensor.any() for tensor in found.values())
    assert_equal_to_reference(inputs, joined, backend, 0)


@every_backend
@both_dtypes
@pytest.mark.parametrize("joined", [False, True], ids=["apart", "joined"])
def test_large_logits_do_not_overflow(backend: str, device: str, dtype: torch.dtype, joined: bool) -> None:
    inputs = drawn_inputs((2, 1, 2, 2, 2, 7), dtype, spread=300, device=device)
    assert all(tensor.isfinite().all() for tensor in results(inputs, joined, backend).values())
    assert_equal_to_reference(inputs, joined, backend, 1e-3 if dtype == torch.float32 else 1e-10)


@every_backend
@every_form
def test_nan_is_passed_on_to_its_own_row_only(backend: str, device: str, positions: bool, joined: bool) -> None:
    inputs = drawn_inputs((3, 2, 2, 1, 2, 5), torch.float32, positions, device=device)
    with torch.no_grad():
        inputs.qkv[1, 0, 0, 0, 2] = torch.nan
        wrong = axial_attention(*inputs, joined=joined, backend=backend).isnan()
    assert wrong[1, 0, :, 0, :, 2].all()
    assert wrong.sum() == wrong[1, 0, :, 0, :, 2].numel()


@every_backend
def test_an_unused_part_has_no_gradient(backend: str, device: str) -> None:
    inputs = drawn_inputs((2, 1, 2, 1, 2, 5), torch.float64, device=device)
    found, expected = (
        torch.autograd.grad(axial_attention(*inputs, backend=name)[:, :, 0].sum(), [*inputs.tensors().values()])
        for name in (backend, "reference")
    )
    torch.testing.assert_close(found, expected)


@every_backend
@both_orders
def test_same_bits_each_time(backend: str, device: str, order: Order) -> None:
    inputs = drawn_inputs((3, 2, 3, 1, 2, 6), torch.float32, device=device, order=order)
    first, second = results(inputs, False, backend), results(inputs, False, backend)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@both_orders
@every_form
def test_same_bits_with_one_and_two_threads(
    set_threads: Callable[[int], None], order: Order, positions: bool, joined: bool
) -> None:
    inputs = drawn_inputs((5, 8, 8, 1, 2, 16), torch.float32, positions, order=order)
    found = []
    for threads in (1, 2, 2):
        set_threads(threads)
        found.append(results(inputs, joined, "numba"))
    for name, tensor in found[0].items():
        assert torch.equal(tensor, found[1][name]), name
        assert torch.equal(tensor, found[2][name]), name


@every_backend
@pytest.mark.parametrize("joined", [False, True], ids=["apart", "joined"])
def test_gradients_of_table_are_summed_precisely(backend: str, device: str, joined: bool) -> None:
    lines = 2 if (backend, device) == ("triton", "cpu") else 256  # the interpreter is slow
    inputs = drawn_inputs((16, lines, 4, 1, 2, 4), torch.float32, device=device)
    found = results(inputs, joined, backend)
    expected = results(inputs.map(torch.Tensor.double), joined, "reference")
    for name in ("gradient of relative", "gradient of scales"):
        torch.testing.assert_close(
            found[name].double(), expected[name], rtol=1e-5, atol=1e-5 * expected[name].abs().max()
        )


def test_several_threads_at_once(set_threads: Callable[[int], None]) -> None:
    set_threads(2)
    inputs = [drawn_inputs((4, 5 + i, 4, 1, 2, 16), torch.float32) for i in range(8)]
    alone = [results(case, False, "numba") for case in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda case: results(case, False, "numba"), inputs))
    for case, expected in zip(together, alone, strict=True):
        assert all(torch.equal(case[name], tensor) for name, tensor in expected.items())


def _attend_in_child(inputs: Inputs, expected: Tensor) -> None:
    raise SystemExit(0 if torch.equal(axial_attention(*inputs, backend="numba"), expected) else 1)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_after_a_fork(set_threads: Callable[[int], None]) -> None:
    set_threads(2)
    inputs = drawn_inputs((5, 8, 4, 1, 2, 8), torch.float32)
    expected = axial_attention(*inputs, backend="numba")
    child = multiprocessing.get_context("fork").Process(target=_attend_in_child, args=(inputs, expected))
    child.start()
    child.join(60)
    assert child.exitcode == 0


@every_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize(("positions", "joined"), FORMS[:3])
@both_orders
def test_half_precision_is_computed_in_single(
    backend: str, device: str, dtype: torch.dtype, positions: bool, joined: bool, order: Order
) -> None:
    inputs = drawn_inputs((1, 2, 2, 2, 4, 5), torch.float32, positions, device=device, order=order)
    half = inputs._replace(qkv=inputs.qkv.detach().to(dtype).requires_grad_())
    with torch.autocast(device, dtype=dtype):
        found = results(half, joined, backend)
    expected = results(half.map(torch.Tensor.float), joined, "reference")
    for name, tensor in found.items():
        assert tensor.dtype == (torch.float32 if name.endswith(("relative", "scales")) else dtype), name
        torch.testing.assert_close(tensor.float(), expected[name], rtol=1e-2, atol=2e-2, msg=name)


@pytest.fixture
def some() -> Inputs:
    return drawn_inputs((1, 1, 1, 1, 1, 2), torch.float32)


def test_the_fast_backend_is_preferred_and_the_choice_is_logged_once(
    some: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    assert choose_backend(some.qkv)[0].name == "numba"
    _announce.cache_clear()
    with caplog.at_level(logging.INFO, logger="medt_pipeline"):
        axial_attention(*some)
        axial_attention(*some)
    assert [record.getMessage() for record in caplog.records] == ["attention backend: numba"]


def test_backend_is_forced_by_argument_or_variable(some: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backend(some.qkv, "reference")[0].name == "reference"
    monkeypatch.setenv(VARIABLE, "reference")
    assert choose_backend(some.qkv)[0].name == "reference"
    assert choose_backend(some.qkv, "numba")[0].name == "numba"
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(ValueError, match=r"must be one of numba, triton, reference; got 'cuda'"):
        choose_backend(some.qkv)


def test_a_forced_backend_says_why_it_cannot_serve(some: Inputs) -> None:
    elsewhere = some.qkv.to("meta")
    chosen, passed_over = choose_backend(elsewhere)
    assert chosen.name == "reference"
    assert passed_over == {"numba": "runs on cpu, got meta", "triton": "runs on cuda, got meta"}
    with pytest.raises(ValueError, match="runs on cpu, got meta"):
        choose_backend(elsewhere, "numba")


def test_integers_are_left_to_the_reference(some: Inputs) -> None:
    chosen, passed_over = choose_backend(some.qkv.int())
    assert chosen.name == "reference"
    assert all("torch.int32" in reason or "runs on cuda" in reason for reason in passed_over.values())


def test_missing_numba_falls_back_with_one_warning(some: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    optional_packages._try_import.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="pip install numba"):
            chosen, passed_over = choose_backend(some.qkv)
        assert chosen.name == "reference"
        assert "cannot be imported" in passed_over["numba"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            axial_attention(*some)
    finally:
        optional_packages._try_import.cache_clear()


def test_missing_triton_is_told_with_one_warning(some: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setitem(sys.modules, "triton", None)
    optional_packages._try_import.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="pip install triton"):
            reason = triton_gpu.why_not(some.qkv)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert triton_gpu.why_not(some.qkv) == reason
            # Where no tensor is on a GPU it is not missed.
            monkeypatch.delenv("TRITON_INTERPRET")
            assert triton_gpu.why_not(some.qkv) == "runs on cuda, got cpu"
    finally:
        optional_packages._try_import.cache_clear()
    assert reason is not None
    assert "pip install triton" in reason


def test_numba_and_triton_are_not_imported_before_they_are_needed() -> None:
    code = "import sys, medt_pipeline.attention; sys.exit(bool({'numba', 'triton'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from medt_pipeline.attention import numba_kernels

    compiler = numba_kernels.njit

    def without_cache(**options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return compiler(**options)

    monkeypatch.setattr(numba_kernels, "njit", without_cache)
    assert numba_kernels.cached(lambda x: x + 1)(1) == 2


def test_a_backend_is_forced_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    qkv = torch.zeros(1, 1, 1, 6, 4)
    first = choose_backend(qkv)[0].name
    with forced_backend("reference"):
        assert choose_backend(qkv)[0].name == "reference"
    assert choose_backend(qkv)[0].name == first
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", "reference")
    with pytest.raises(RuntimeError), forced_backend("numba"):
        raise RuntimeError
    assert choose_backend(qkv)[0].name == "reference"
