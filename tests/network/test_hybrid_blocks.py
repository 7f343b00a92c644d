from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medt_pipeline.network import gate_parameters, hybrid_blocks
from medt_pipeline.network.hybrid_blocks import (
    BlockOptions,
    GatedAxialAttention,
    HybridBlock,
    NormalisedConv,
    PointwiseConv,
    run,
)


def _reference_attention(layer: GatedAxialAttention, x: Tensor) -> Tensor:
    """The formula, one head at a time, along the last axis of x (cases, C, lines, L)."""
    length, d_k = x.shape[-1], layer.query_channels
    projected = torch.einsum("oc,nclp->nolp", layer.qkv.weight[:, :, 0, 0], x)
    projected = F.instance_norm(projected, weight=layer.qkv_norm.weight, bias=layer.qkv_norm.bias)
    offsets = torch.arange(length)[:, None] - torch.arange(length)[None, :] + length - 1
    r_q, r_k, r_v = layer.relative[:, offsets].split([d_k, d_k, layer.relative.shape[0] - 2 * d_k])
    outputs = []
    for head, of_head in enumerate(projected.chunk(layer.heads, dim=1)):
        q, k, v = of_head.split([d_k, d_k, of_head.shape[1] - 2 * d_k], dim=1)
        g_q, g_k, g_v2, g_v1 = layer.gates[:, head]
        logits = torch.einsum("ncli,nclj->nlij", q, k)
        logits = logits + g_q * torch.einsum("ncli,cij->nlij", q, r_q)
        logits = logits + g_k * torch.einsum("nclj,cji->nlij", k, r_k)
        weights = (logits / math.sqrt(d_k)).softmax(-1)
        of_values = torch.einsum("nlij,nclj->ncli", weights, v)
        of_positions = torch.einsum("nlij,cij->ncli", weights, r_v)
        outputs.append(g_v1 * of_values + g_v2 * of_positions)
    return torch.cat(outputs, dim=1)


def _attention(axis: str, heads: int = 4, **options: object) -> GatedAxialAttention:
    torch.manual_seed(0)
    layer = GatedAxialAttention(24, 7, axis, BlockOptions(heads=heads, **options)).double()
    torch.nn.init.normal_(layer.qkv_norm.weight)
    torch.nn.init.normal_(layer.qkv_norm.bias)
    if layer.positions:
        torch.nn.init.normal_(layer.gates)
    return layer


# Six value channels a head, of which half would be less than the fewest query channels; and twelve, half of which is.
@pytest.mark.parametrize("heads", [4, 2])
@pytest.mark.parametrize("axis", ["height", "width"])
@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_attention_and_all_gradients_follow_the_formula(backend, axis, heads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", backend)
    layer = _attention(axis, heads)
    assert layer.query_channels == (4 if heads == 4 else 6)
    size = (7, 5) if axis == "height" else (5, 7)
    x = torch.randn(2, 24, *size, dtype=torch.float64).to(memory_format=torch.channels_last).requires_grad_()
    found = layer(x)
    expected = _reference_attention(layer, x.mT if axis == "height" else x)
    expected = expected.mT if axis == "height" else expected
    torch.testing.assert_close(found, expected)
    inputs = [x, *layer.parameters()]
    ours, theirs = (torch.autograd.grad(y.sin().sum(), inputs) for y in (found, expected))
    for of_ours, of_theirs in zip(ours, theirs, strict=True):
        torch.testing.assert_close(of_ours, of_theirs)


def test_gates_start_as_told_and_are_learned_or_fixed() -> None:
    learned = GatedAxialAttention(16, 4, "width", BlockOptions(gate_start=0.3))
    assert learned.gates[:, 5].tolist() == pytest.approx([0.3, 0.3, 0.3, 1.0])
    assert gate_parameters(learned) == [learned.gates]
    fixed = GatedAxialAttention(16, 4, "width", BlockOptions(gate_start=0.3, gates="fixed"))
    torch.testing.assert_close(fixed.gates, learned.gates.detach())
    assert gate_parameters(fixed) == []
    assert not fixed.gates.requires_grad
    assert "gates" in fixed.state_dict()


def test_without_positions_the_order_along_the_axis_does_not_matter() -> None:
    x = torch.randn(1, 24, 5, 7, dtype=torch.float64)
    order = torch.randperm(7)
    for positions in (False, True):
        layer = _attention("width", positions=positions)
        same = torch.allclose(layer(x[..., order]), layer(x)[..., order])
        assert same != positions
        assert hasattr(layer, "relative") == hasattr(layer, "gates") == positions


@pytest.mark.parametrize("axis", ["height", "width"])
def test_nothing_is_copied_around_the_attention(axis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    attention = hybrid_blocks.axial_attention

    def watched(qkv, *args, **kwargs):
        seen["qkv"], seen["sums"] = qkv, attention(qkv, *args, **kwargs)
        return seen["sums"]

    monkeypatch.setattr(hybrid_blocks, "axial_attention", watched)
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", "numba")
    layer = GatedAxialAttention(16, 7, axis, BlockOptions())
    layer.qkv_norm.register_forward_hook(lambda module, args, output: seen.update(projected=output))
    x = torch.randn(2, 16, 7, 9).to(memory_format=torch.channels_last).requires_grad_()
    y = layer(x)
    assert seen["qkv"].data_ptr() == seen["projected"].data_ptr()
    assert y.data_ptr() == seen["sums"].data_ptr()
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("scale_start", [None, 0.1])
def test_pointwise_is_a_convolution_with_a_factor_behind_it(scale_start: float | None) -> None:
    conv = PointwiseConv(3, 5, scale_start=scale_start)
    x = torch.randn(2, 3, 4, 6)
    expected = F.conv2d(x, conv.weight, conv.bias)
    if scale_start is not None:
        torch.nn.init.normal_(conv.scale)
        expected = expected * conv.scale[:, None, None]
    torch.testing.assert_close(conv(x), expected)


def test_block_adds_attention_and_feed_forward_part() -> None:
    torch.manual_seed(0)
    block = HybridBlock(16, (6, 5), 0.0, BlockOptions(scale_start=1.0))
    x = torch.randn(2, 16, 6, 5)
    normed = F.instance_norm(x)
    inner = x + block.mix(block.rows(block.columns(normed)))
    around = F.gelu(F.conv2d(F.instance_norm(inner), block.conv.weight, block.conv.bias, padding=1))
    expected = inner + F.conv2d(around, block.contract.weight, block.contract.bias)
    torch.testing.assert_close(block(x), expected)
    assert (block.columns.axis, block.rows.axis) == ("height", "width")


def test_identity_has_pointwise_convolutions_of_like_width_instead_of_attention() -> None:
    block = HybridBlock(16, (6, 5), 0.0, BlockOptions(attention="identity"))
    assert not [module for module in block.modules() if isinstance(module, GatedAxialAttention)]
    assert block.columns.weight.shape == block.rows.weight.shape == (16, 16, 1, 1)
    with_attention = HybridBlock(16, (6, 5), 0.0, BlockOptions())
    assert set(block.state_dict()) < set(with_attention.state_dict()) | {"columns.weight", "rows.weight"}


def test_stochastic_depth_drops_entries_in_training_and_keeps_their_mean() -> None:
    torch.manual_seed(0)
    block = HybridBlock(16, (4, 4), 0.25, BlockOptions())
    part = torch.ones(4000, 2, 1, 1)
    kept = block._kept(part)
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(kept[:, 0], kept[:, 1])
    assert kept.mean().item() == pytest.approx(1, abs=0.03)
    assert block.eval()._kept(part) is part


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_recomputing_repeats_drawn_depths_and_moves_running_statistics_once(norm) -> None:
    results = []
    for recompute in (False, True):
        torch.manual_seed(0)
        block = HybridBlock(16, (4, 4), 0.5, BlockOptions(norm=norm))
        x = torch.randn(8, 16, 4, 4, requires_grad=True)
        y = run(block, recompute, x, 1)
        y.sin().sum().backward()
        results.append([y, x.grad, *block.buffers(), *(parameter.grad for parameter in block.parameters())])
    for plain, again in zip(*results, strict=True):
        torch.testing.assert_close(again, plain)


def test_a_single_channel_image_becomes_channels_last() -> None:
    conv = NormalisedConv(1, 16, "batch")
    assert conv(torch.randn(2, 1, 8, 8)).is_contiguous(memory_format=torch.channels_last)
