from __future__ import annotations

import pytest
import torch

from medt_pipeline.network import axial_layer
from medt_pipeline.network.axial_layer import AxialAttentionLayer


@pytest.mark.parametrize("form", ["published", "formula"])
@pytest.mark.parametrize("position", ["gated", "none"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("axis", ["height", "width"])
def test_channels_last_is_kept(
    axis: str, stride: int, position: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", "numba")
    layer = AxialAttentionLayer(6, 8, 2, 10, axis, stride, position, form)
    x = torch.randn(2, 6, 10, 10).to(memory_format=torch.channels_last).requires_grad_()
    y = layer(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("form", ["published", "formula"])
@pytest.mark.parametrize("axis", ["height", "width"])
def test_nothing_is_copied_around_the_attention(axis: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", "numba")
    seen = {}
    attention = axial_layer.axial_attention

    def watched(qkv, *args, **kwargs):
        seen["qkv"], seen["sums"] = qkv, attention(qkv, *args, **kwargs)
        return seen["sums"]

    monkeypatch.setattr(axial_layer, "axial_attention", watched)
    layer = AxialAttentionLayer(6, 8, 2, 10, axis, form=form)
    layer.qkv_norm.register_forward_hook(lambda module, args, output: seen.update(normed=output))
    last = layer.sums_norm if form == "published" else layer.value_norm
    last.register_forward_hook(lambda module, args, output: seen.update(image=args[0]))
    layer(torch.randn(2, 6, 10, 12 if axis == "height" else 10).to(memory_format=torch.channels_last))
    assert seen["qkv"].data_ptr() == seen["normed"].data_ptr()
    assert seen["image"].data_ptr() == seen["sums"].data_ptr()
    assert seen["qkv"].stride(3) == seen["sums"].stride(4) == 1
    assert seen["image"].is_contiguous(memory_format=torch.channels_last)
