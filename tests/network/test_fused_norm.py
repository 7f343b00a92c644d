"""The fused normalisation against torch's own functions in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medt_pipeline.network.fused_norm import FusedInstanceNorm, can_fuse
from medt_pipeline.network.normalisation import EPS, NEGATIVE_SLOPE, Normalisation

pytest.importorskip("numba")
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 0.02}
SHAPES = [(2, 16, 7, 5), (3, 64, 33, 20), (2, 8, 6, 9), (6, 32, 4, 4), (1, 48, 1, 3), (2, 256, 40, 30)]


def drawn(shape: tuple[int, ...], dtype: torch.dtype, shift: float = 0.0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    x = (torch.randn(shape, generator=generator) * 2 + shift).to(dtype)
    weight, bias = (torch.randn(shape[1], generator=generator) for _ in range(2))
    gradient = torch.randn(shape, generator=generator).to(dtype)
    return x.contiguous(memory_format=torch.channels_last), weight, bias, gradient


def by_torch(x: Tensor, weight: Tensor, bias: Tensor, gradient: Tensor, patches: int, slope: float) -> list[Tensor]:
    """Result and gradients in float64, patches of an image one below the other."""
    x, weight, bias = (one.double().requires_grad_() for one in (x, weight, bias))
    image = x.unflatten(0, (-1, patches)).transpose(1, 2).flatten(2, 3)
    mean, variance = image.mean((2, 3), keepdim=True), image.var((2, 3), unbiased=False, keepdim=True)
    normalised = (image - mean) / (variance + EPS).sqrt() * weight[:, None, None] + bias[:, None, None]
    result = F.leaky_relu(normalised, slope).unflatten(2, (patches, -1)).transpose(1, 2).flatten(0, 1)
    return [result, *torch.autograd.grad(result, [x, weight, bias], gradient.double())]


def fused(x: Tensor, weight: Tensor, bias: Tensor, gradient: Tensor, patches: int, slope: float) -> list[Tensor]:
    x, weight, bias = (one.clone().requires_grad_() for one in (x, weight, bias))
    assert can_fuse(x, weight, patches)
    result = FusedInstanceNorm.apply(x, weight, bias, patches, EPS, slope)
    return [result, *torch.autograd.grad(result, [x, weight, bias], gradient)]


@pytest.mark.parametrize("slope", [1.0, NEGATIVE_SLOPE], ids=["linear", "leaky"])
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_torch_in_double_precision(shape: tuple[int, ...], dtype: torch.dtype, slope: float) -> None:
    patches = 3 if shape[0] % 3 == 0 else 1
    inputs = drawn(shape, dtype)
    found, expected = fused(*inputs, patches, slope), by_torch(*inputs, patches, slope)
    assert found[0].dtype == found[1].dtype == dtype
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(found, expected, strict=True):
        scale = max(theirs.abs().max().item(), 1.0)
        torch.testing.assert_close(ours.double() / scale, theirs / scale, rtol=0, atol=TOLERANCE[dtype])


def test_a_map_of_one_position_becomes_the_offset() -> None:
    x, weight, bias, gradient = drawn((2, 16, 1, 1), torch.float32)
    result, of_x, of_weight, of_bias = fused(x, weight, bias, gradient, 1, 1.0)
    torch.testing.assert_close(result[:, :, 0, 0], bias.expand(2, 16))
    # what is taken from itself is multiplied by weight / √eps first
    torch.testing.assert_close(of_x, torch.zeros_like(x), rtol=0, atol=1e-6 / EPS**0.5)
    torch.testing.assert_close(of_weight, torch.zeros(16))
    torch.testing.assert_close(of_bias, gradient.sum((0, 2, 3)))


def test_a_mean_far_above_the_spread_costs_no_precision() -> None:
    inputs = drawn((2, 32, 50, 60), torch.float32, shift=1e4)
    found, expected = fused(*inputs, 1, 1.0), by_torch(*inputs, 1, 1.0)
    for ours, theirs in zip(found, expected, strict=True):
        # 1e4, and so the mean, is stored to 5e-4, which the gradient of the weight takes 3,000 times
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=0.02 if theirs.ndim == 1 else 1e-3)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    inputs = drawn((3, 64, 70, 90), torch.bfloat16)
    before = torch.get_num_threads()
    try:
        several = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            several.append(fused(*inputs, 1, NEGATIVE_SLOPE))
    finally:
        torch.set_num_threads(before)
    for one in several[1:]:
        assert all(torch.equal(a, b) for a, b in zip(several[0], one, strict=True))


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_what_is_no_number_stays_so(dtype: torch.dtype) -> None:
    x, weight, bias, _ = drawn((2, 16, 8, 8), dtype)
    x[0, 3, 2, 2], x[0, 4, 1, 1] = torch.nan, torch.inf
    result = FusedInstanceNorm.apply(x, weight, bias, 1, EPS, NEGATIVE_SLOPE)
    assert result[0, 3].isnan().all()
    assert result[0, 4].isnan().any()
    assert result[1].isfinite().all()


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (torch.ones(1, 24, 4, 4), torch.ones(24)),
        (torch.ones(1, 8, 3, 1), torch.ones(8)),
        (torch.ones(1, 16, 4, 4, dtype=torch.float64), torch.ones(16, dtype=torch.float64)),
        (torch.ones(1, 16, 4, 4, dtype=torch.float16), torch.ones(16)),
        (torch.ones(0, 16, 4, 0), torch.ones(16)),
        (torch.ones(1, 16, 4, 4, device="meta"), torch.ones(16, device="meta")),
    ],
    ids=["24 channels", "24 values of 8 channels", "double", "half", "empty", "no memory"],
)
def test_the_rest_is_left_to_torch(x: Tensor, weight: Tensor) -> None:
    assert not can_fuse(x, weight, 1)


@pytest.mark.parametrize("activate", [False, True])
def test_the_module_takes_it_in_the_precision_of_its_maps(activate: bool) -> None:
    norm = Normalisation("instance", 16, activate)
    nn.init.normal_(norm.weight)
    x, *_ = drawn((2, 16, 8, 8), torch.bfloat16)
    expected = by_torch(x, norm.weight, norm.bias, x, 1, NEGATIVE_SLOPE if activate else 1.0)[0]
    torch.testing.assert_close(norm(x).double(), expected, rtol=0.01, atol=0.01)
