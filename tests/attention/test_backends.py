"""Every backend against the reference: outputs, every gradient, and the choice between them."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from medt_pipeline.attention import axial_attention, choose_backend, numba_cpu
from medt_pipeline.attention.backends import BACKENDS, VARIABLE, _announce
from tests.attention.conftest import Inputs, drawn_inputs

FUSED = [backend.name for backend in BACKENDS if backend.name != "reference"]
SHAPES = [
    (1, 1, 1, 1, 1),
    (3, 2, 1, 2, 2),
    (2, 1, 2, 4, 3),
    (5, 3, 1, 2, 5),
    (16, 1, 3, 1, 4),
    (2, 5, 3, 5, 17),
    (3, 8, 1, 2, 64),
    (2, 4, 16, 32, 8),
    (1, 1, 64, 64, 6),
    (1, 2, 2, 3, 130),
    (1, 1, 1, 2, 1024),
]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
NAMES = ("q", "k", "v", "relative", "scales")

both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
both_positions = pytest.mark.parametrize("positions", [True, False], ids=["positions", "no_positions"])
every_backend = pytest.mark.parametrize("backend", FUSED)


def spelled(shape: tuple[int, ...]) -> str:
    return "n{}_h{}_dk{}_dv{}_L{}".format(*shape)


def results(inputs: Inputs, backend: str) -> dict[str, Tensor]:
    """Outputs, and gradients of a sum that weighs each of their entries differently."""
    outputs = [output for output in axial_attention(*inputs, backend=backend) if output is not None]
    total = sum((output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum() for output in outputs)
    present = {name: tensor for name, tensor in zip(NAMES, inputs, strict=True) if tensor is not None}
    gradients = torch.autograd.grad(total, list(present.values()))
    named = {f"output {i}": output.detach() for i, output in enumerate(outputs)}
    return named | {f"gradient of {name}": gradient for name, gradient in zip(present, gradients, strict=True)}


def assert_equal_to_reference(inputs: Inputs, backend: str, tolerance: float) -> None:
    """Within `tolerance`, times the largest entry, of the reference in double precision."""
    precise = tuple(None if tensor is None else tensor.detach().double().requires_grad_() for tensor in inputs)
    found, expected = results(inputs, backend), results(precise, "reference")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        largest = tensor.abs().max().item() if tensor.numel() else 0.0
        torch.testing.assert_close(
            found[name].double(),
            tensor,
            rtol=0,
            atol=tolerance * max(largest, 1.0),
            msg=lambda text, name=name: f"{name}: {text}",
        )


@both_dtypes
@both_positions
@every_backend
@pytest.mark.parametrize("shape", SHAPES, ids=spelled)
def test_outputs_and_gradients(shape: tuple[int, ...], backend: str, positions: bool, dtype: torch.dtype) -> None:
    assert_equal_to_reference(drawn_inputs(shape, dtype, positions), backend, TOLERANCE[dtype])


@both_positions
@every_backend
@pytest.mark.parametrize("shape", SHAPES[:6], ids=spelled)
def test_nothing_is_left_unwritten(
    shape: tuple[int, ...], backend: str, positions: bool, nan_in_fresh_memory: None
) -> None:
    assert torch.empty(1).isnan()
    found = results(drawn_inputs(shape, torch.float32, positions), backend)
    assert all(tensor.isfinite().all() for tensor in found.values())


@every_backend
@both_positions
def test_any_strides(backend: str, positions: bool) -> None:
    q, k, v, relative, scales = drawn_inputs((4, 3, 2, 4, 9), torch.float64, positions)
    q = q.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    k = k.transpose(0, 3).contiguous().transpose(0, 3)
    v = v.detach()[:1].expand(4, -1, -1, -1).requires_grad_()
    if relative is not None:
        relative = relative.t().contiguous().t()
    scales = scales.t().contiguous().t()
    assert_equal_to_reference((q, k, v, relative, scales), backend, 1e-12)


@every_backend
@both_positions
def test_no_sequences(backend: str, positions: bool) -> None:
    inputs = drawn_inputs((0, 2, 1, 2, 4), torch.float32, positions)
    found = results(inputs, backend)
    assert found["output 0"].shape == (0, 2, 2, 4)
    assert all(not tensor.any() for tensor in found.values())
    assert_equal_to_reference(inputs, backend, 0)


@every_backend
@both_dtypes
def test_large_logits_do_not_overflow(backend: str, dtype: torch.dtype) -> None:
    inputs = drawn_inputs((2, 2, 2, 2, 7), dtype, spread=300)
    assert all(tensor.isfinite().all() for tensor in results(inputs, backend).values())
    assert_equal_to_reference(inputs, backend, 1e-3 if dtype == torch.float32 else 1e-10)


@every_backend
def test_nan_is_passed_on_to_its_own_row_only(backend: str) -> None:
    inputs = [tensor.detach() for tensor in drawn_inputs((3, 2, 1, 2, 5), torch.float32)]
    inputs[0] = inputs[0].clone()
    inputs[0][1, 0, 0, 2] = torch.nan
    for output in axial_attention(*inputs, backend=backend):
        wrong = output.isnan()
        assert wrong[1, 0, :, 2].all()
        assert wrong.sum() == 2


@every_backend
def test_an_unused_output_has_no_gradient(backend: str) -> None:
    inputs = drawn_inputs((2, 2, 1, 2, 5), torch.float64)
    gradients = [
        torch.autograd.grad(axial_attention(*inputs, backend=name)[0].sum(), inputs) for name in (backend, "reference")
    ]
    torch.testing.assert_close(*gradients)


@every_backend
def test_same_bits_with_one_and_two_threads(backend: str, set_threads: Callable[[int], None]) -> None:
    inputs = drawn_inputs((40, 8, 1, 2, 16), torch.float32)
    found = []
    for threads in (1, 2, 2):
        set_threads(threads)
        found.append(results(inputs, backend))
    for name, tensor in found[0].items():
        assert torch.equal(tensor, found[1][name]), name
        assert torch.equal(tensor, found[2][name]), name


@every_backend
def test_gradients_of_table_are_summed_precisely(backend: str) -> None:
    inputs = drawn_inputs((4096, 4, 1, 2, 4), torch.float32)
    precise = tuple(tensor.detach().double().requires_grad_() for tensor in inputs)
    found, expected = results(inputs, backend), results(precise, "reference")
    for name in ("gradient of relative", "gradient of scales"):
        torch.testing.assert_close(
            found[name].double(), expected[name], rtol=1e-5, atol=1e-5 * expected[name].abs().max()
        )


def test_several_threads_at_once(set_threads: Callable[[int], None]) -> None:
    set_threads(2)
    inputs = [drawn_inputs((20 + i, 4, 1, 2, 16), torch.float32) for i in range(8)]
    alone = [results(case, "numba") for case in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda case: results(case, "numba"), inputs))
    for case, expected in zip(together, alone, strict=True):
        assert all(torch.equal(case[name], tensor) for name, tensor in expected.items())


def _attend_in_child(inputs: list[Tensor], expected: Tensor) -> None:
    raise SystemExit(0 if torch.equal(axial_attention(*inputs, backend="numba")[0], expected) else 1)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_after_a_fork(set_threads: Callable[[int], None]) -> None:
    set_threads(2)
    inputs = [tensor.detach() for tensor in drawn_inputs((40, 4, 1, 2, 8), torch.float32)]
    expected = axial_attention(*inputs, backend="numba")[0]
    child = multiprocessing.get_context("fork").Process(target=_attend_in_child, args=(inputs, expected))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_half_precision_is_computed_in_single() -> None:
    q, k, v, relative, scales = drawn_inputs((2, 2, 2, 4, 9), torch.float32)
    half = [tensor.detach().bfloat16().requires_grad_() for tensor in (q, k, v)]
    found = axial_attention(*half, relative, scales, backend="numba")
    expected = axial_attention(*(tensor.float() for tensor in half), relative, scales, backend="reference")
    for result, truth in zip(found, expected, strict=True):
        assert result.dtype == torch.bfloat16
        torch.testing.assert_close(result, truth.bfloat16(), rtol=1e-2, atol=1e-2)
    assert torch.autograd.grad(found[0].sum(), half[0])[0].dtype == torch.bfloat16


def test_the_fast_backend_is_preferred_and_the_choice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    inputs = drawn_inputs((1, 1, 1, 1, 2), torch.float32)
    assert choose_backend(*inputs[:4])[0].name == "numba"
    _announce.cache_clear()
    with caplog.at_level(logging.INFO, logger="medt_pipeline"):
        axial_attention(*inputs)
        axial_attention(*inputs)
    assert [record.getMessage() for record in caplog.records] == ["attention backend: numba"]


def test_backend_is_forced_by_argument_or_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = drawn_inputs((1, 1, 1, 1, 2), torch.float32)
    assert choose_backend(*inputs[:4], "reference")[0].name == "reference"
    monkeypatch.setenv(VARIABLE, "reference")
    assert choose_backend(*inputs[:4])[0].name == "reference"
    assert choose_backend(*inputs[:4], "numba")[0].name == "numba"
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(ValueError, match=r"must be one of numba, reference; got 'cuda'"):
        choose_backend(*inputs[:4])


def test_a_forced_backend_says_why_it_cannot_serve() -> None:
    inputs = [tensor.to("meta") for tensor in drawn_inputs((1, 1, 1, 1, 2), torch.float32)[:4]]
    chosen, passed_over = choose_backend(*inputs)
    assert (chosen.name, passed_over) == ("reference", {"numba": "runs on cpu, got meta"})
    with pytest.raises(ValueError, match="runs on cpu, got meta"):
        choose_backend(*inputs, "numba")


def test_missing_numba_falls_back_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = drawn_inputs((1, 1, 1, 1, 2), torch.float32)
    monkeypatch.setitem(sys.modules, "numba", None)
    numba_cpu._try_import.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="pip install numba"):
            chosen, passed_over = choose_backend(*inputs[:4])
        assert chosen.name == "reference"
        assert "cannot be imported" in passed_over["numba"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            axial_attention(*inputs)
    finally:
        numba_cpu._try_import.cache_clear()


def test_numba_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, medt_pipeline.attention; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from medt_pipeline.attention import numba_kernels

    compiler = numba_kernels.njit

    def without_cache(**options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return compiler(**options)

    monkeypatch.setattr(numba_kernels, "njit", without_cache)
    assert numba_kernels._cached(lambda x: x + 1)(1) == 2
