"""The fused normalisation of CUDA devices against torch's own functions in float64; without one, interpreted."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from medt_pipeline.network.normalisation import EPS, NEGATIVE_SLOPE, Normalisation
from medt_pipeline.network.triton_norm import PROGRAMS, TILE, TritonInstanceNorm, _cut, can_fuse
from tests.attention.conftest import GPU
from tests.network.test_fused_norm import by_torch, drawn

pytest.importorskip("triton", reason="triton is not installed")
TOLERANCE = {torch.float32: 2e-5, torch.float16: 0.005, torch.bfloat16: 0.02}
SHAPES = [(2, 16, 7, 5), (3, 64, 33, 20), (2, 8, 6, 9), (6, 24, 4, 4), (1, 96, 1, 3), (1, 5, 40, 30)]
DEVICES = [
    pytest.param(
        "cpu",
        id="interpreted",
        marks=pytest.mark.skipif(
            os.environ.get("TRITON_INTERPRET") != "1", reason="with a GPU, Triton's interpreter is off"
        ),
    ),
    pytest.param("cuda", id="gpu", marks=GPU),
]
every_device = pytest.mark.parametrize("device", DEVICES)


def fused(device: str, *inputs: Tensor, patches: int = 1, slope: float = 1.0) -> list[Tensor]:
    x, weight, bias = (one.to(device).requires_grad_() for one in inputs[:3])
    result = TritonInstanceNorm.apply(x, weight, bias, patches, EPS, slope)
    gradients = torch.autograd.grad(result, [x, weight, bias], inputs[3].to(device))
    return [one.detach().cpu() for one in (result, *gradients)]


@pytest.mark.parametrize("slope", [1.0, NEGATIVE_SLOPE], ids=["linear", "leaky"])
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@every_device
def test_equals_torch_in_double_precision(
    shape: tuple[int, ...], dtype: torch.dtype, slope: float, device: str
) -> None:
    patches = 3 if shape[0] % 3 == 0 else 1
    inputs = drawn(shape, dtype)
    found, expected = fused(device, *inputs, patches=patches, slope=slope), by_torch(*inputs, patches, slope)
    assert found[0].dtype == found[1].dtype == dtype
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(found, expected, strict=True):
        scale = max(theirs.abs().max().item(), 1.0)
        torch.testing.assert_close(ours.double() / scale, theirs / scale, rtol=0, atol=TOLERANCE[dtype])


@every_device
def test_a_map_of_one_position_becomes_the_offset(device: str) -> None:
    inputs = drawn((2, 16, 1, 1), torch.float32)
    result, of_x, of_weight, of_bias = fused(device, *inputs)
    torch.testing.assert_close(result[:, :, 0, 0], inputs[2].expand(2, 16))
    torch.testing.assert_close(of_x, torch.zeros(2, 16, 1, 1), rtol=0, atol=1e-6 / EPS**0.5)
    torch.testing.assert_close(of_weight, torch.zeros(16))
    torch.testing.assert_close(of_bias, inputs[3].sum((0, 2, 3)))


@every_device
def test_a_mean_far_above_the_spread_costs_no_precision(device: str) -> None:
    inputs = drawn((2, 32, 50, 60), torch.float32, shift=1e4)
    for ours, theirs in zip(fused(device, *inputs), by_torch(*inputs, 1, 1.0), strict=True):
        # 1e4, and so the mean, is stored to 5e-4, which the gradient of the weight takes 3,000 times
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=0.02 if theirs.ndim == 1 else 1e-3)


@every_device
def test_what_is_no_number_stays_in_its_channel_and_image(device: str) -> None:
    x, weight, bias, _ = drawn((2, 16, 8, 8), torch.float32)
    x[0, 3, 2, 2], x[0, 4, 1, 1] = torch.nan, torch.inf
    result = TritonInstanceNorm.apply(*(one.to(device) for one in (x, weight, bias)), 1, EPS, NEGATIVE_SLOPE)
    assert result[0, 3].isnan().all()
    assert result[0, 4].isnan().any()
    assert result[1].isfinite().all()
    assert result[0, 5:].isfinite().all()


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (4, 16, 416, 608), (8, 384, 30, 34), (64, 512, 2, 2), (2, 8, 1000, 3000)]
)
@pytest.mark.parametrize("patches", [1, 2])
def test_chunks_hold_all_positions_once(shape: tuple[int, ...], patches: int) -> None:
    x = torch.empty(shape[0] * patches, *shape[1:], device="meta")
    cut = _cut(x, patches)
    assert cut.images * cut.positions * cut.channels == x.numel()
    assert cut.tile["POSITIONS"] * cut.tile["CHANNELS"] == TILE
    assert (cut.tiles - 1) * cut.tile["POSITIONS"] < cut.positions <= cut.tiles * cut.tile["POSITIONS"]
    assert (cut.chunks - 1) * cut.tiles_a_chunk < cut.tiles <= cut.chunks * cut.tiles_a_chunk
    assert cut.chunks == 1 or cut.chunks * cut.images * cut.blocks <= PROGRAMS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("activate", [False, True])
def test_the_module_takes_it_on_a_gpu(activate: bool) -> None:
    norm = Normalisation("instance", 16, activate).cuda()
    torch.nn.init.normal_(norm.weight)
    x, *_ = drawn((2, 16, 8, 8), torch.bfloat16)
    assert can_fuse(x.cuda(), norm.weight)
    slope = NEGATIVE_SLOPE if activate else 1.0
    expected = by_torch(x, norm.weight.cpu(), norm.bias.cpu(), x, 1, slope)[0]
    torch.testing.assert_close(norm(x.cuda()).double().cpu(), expected, rtol=0.01, atol=0.01)


def test_other_devices_are_left_to_others() -> None:
    assert not can_fuse(torch.ones(1, 16, 4, 4), torch.ones(16))
