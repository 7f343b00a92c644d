from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medt_pipeline.network.normalisation import EPS, GROUPS, NEGATIVE_SLOPE, Normalisation


def _reference(kind: str, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """By torch's own functions, of whole images."""
    if kind == "instance":
        return F.instance_norm(x, weight=weight, bias=bias, eps=EPS)
    if kind == "group":
        return F.group_norm(x, GROUPS, weight, bias, EPS)
    if kind == "batch":
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=EPS)
    return F.layer_norm(x.movedim(1, -1), x.shape[1:2], weight, bias, EPS).movedim(-1, 1)


def _drawn(kind: str, activate: bool) -> Normalisation:
    torch.manual_seed(0)
    norm = Normalisation(kind, 16, activate).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    return norm


@pytest.mark.parametrize("activate", [False, True], ids=["linear", "leaky"])
@pytest.mark.parametrize("patches", [1, 3])
@pytest.mark.parametrize("kind", ["instance", "instance compiled", "group", "layer", "batch"])
def test_equals_torch_on_the_images_that_patches_are_parts_of(
    kind: str, patches: int, activate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "instance compiled":
        # What is compiled, and what a GPU runs, is torch's own function.
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        kind = "instance"
    norm = _drawn(kind, activate)
    # Far from zero, so that a variance as E[x²] - E[x]² would show.
    images = torch.randn(2, 16, 4 * patches, 5, dtype=torch.float64) + 1e4
    x = images.unflatten(2, (patches, 4)).transpose(1, 2).flatten(0, 1)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    images.requires_grad_()
    weights = torch.randn(2, 16, 4 * patches, 5, dtype=torch.float64)
    parameters = list(norm.parameters())
    expected = _reference(kind, images, *parameters)
    expected = F.leaky_relu(expected, NEGATIVE_SLOPE) if activate else expected
    of_expected = torch.autograd.grad((expected * weights).sum(), [images, *parameters])

    found = norm(x, patches)
    assert found.is_contiguous(memory_format=torch.channels_last)
    whole = found.unflatten(0, (2, patches)).transpose(1, 2).flatten(2, 3)
    of_found = list(torch.autograd.grad((whole * weights).sum(), [x, *parameters]))
    of_found[0] = of_found[0].unflatten(0, (2, patches)).transpose(1, 2).flatten(2, 3)
    torch.testing.assert_close(whole, expected)
    for ours, theirs in zip(of_found, of_expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_map_of_one_position_becomes_the_offset() -> None:
    norm = _drawn("instance", activate=False)
    expected = norm.bias.expand(2, 16)[..., None, None]
    torch.testing.assert_close(norm(torch.randn(2, 16, 1, 1, dtype=torch.float64)), expected)


def test_half_precision_has_statistics_in_single_precision() -> None:
    x = (torch.randn(2, 16, 32, 32) + 8).to(torch.bfloat16).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        found = Normalisation("instance", 16)(x)
    assert found.dtype == torch.bfloat16
    # 2^-8 is bfloat16's resolution; statistics in it would be off by several hundredths.
    torch.testing.assert_close(found.float(), F.instance_norm(x.float()), atol=0.01, rtol=0.01)
