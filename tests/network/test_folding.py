from __future__ import annotations

import torch
from torch import nn

from medt_pipeline.network.folding import convolve_and_normalise


def layers() -> tuple[nn.Conv2d, nn.BatchNorm2d, torch.Tensor]:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False).double(), nn.BatchNorm2d(5).double()
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 2)
    return conv, norm, torch.randn(2, 3, 7, 9, dtype=torch.float64)


def test_evaluation_is_one_convolution_with_the_same_result() -> None:
    conv, norm, x = layers()
    expected = norm.eval()(conv(x))
    calls = []
    conv.register_forward_hook(lambda *_: calls.append("conv"))
    norm.register_forward_hook(lambda *_: calls.append("norm"))
    torch.testing.assert_close(convolve_and_normalise(conv, norm, x), expected)
    assert not calls


def test_gradients_in_evaluation_mode() -> None:
    conv, norm, x = layers()
    norm.eval()
    parameters = [conv.weight, norm.weight, norm.bias]
    found = torch.autograd.grad(convolve_and_normalise(conv, norm, x).square().sum(), parameters)
    torch.testing.assert_close(found, torch.autograd.grad(norm(conv(x)).square().sum(), parameters))


def test_training_uses_and_tracks_the_batch() -> None:
    conv, norm, x = layers()
    before = norm.running_mean.clone()
    found = convolve_and_normalise(conv, norm.train(), x)
    torch.testing.assert_close(found.mean((0, 2, 3)), norm.bias)
    assert not torch.equal(norm.running_mean, before)


def test_other_norms_are_applied() -> None:
    conv, _, x = layers()
    norm = nn.InstanceNorm2d(5).double().eval()
    torch.testing.assert_close(convolve_and_normalise(conv, norm, x), norm(conv(x)))
