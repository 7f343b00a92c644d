"""Normalisation of channels-last maps, whose statistics the patches of an image share."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medt_pipeline.network import triton_norm
from medt_pipeline.network.fused_norm import FusedInstanceNorm, can_fuse

Norm = Literal["instance", "group", "layer", "batch"]
"""What is normalised together: a channel of an image, a group of channels of an image, all channels at one position, a
channel of the whole batch."""
GROUPS = 8
"""Groups of channels with "group"."""
EPS = 1e-5
NEGATIVE_SLOPE = 0.01
"""Of leaky ReLU, as in nnU-Net's networks."""


class Normalisation(nn.Module):
    """Normalisation with a factor and an offset for each channel, and leaky ReLU; channels-last in, channels-last out.

    Args:
        kind: see `Norm`.
        channels: channels of the maps, with "group" a multiple of `GROUPS`.
        activate: whether leaky ReLU follows.
    """

    def __init__(self, kind: Norm, channels: int, activate: bool = False) -> None:
        super().__init__()
        self.kind, self.activate = kind, activate
        self.batch = nn.BatchNorm2d(channels, EPS) if kind == "batch" else None
        if self.batch is None:
            self.weight = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, patches: int = 1) -> Tensor:
        """Normalise (cases × patches, channels, H, W).

        `patches` that stand behind each other are parts of one image: "instance" and "group" take their statistics
        together. So bright and dark patches stay apart, and patches of few positions have statistics to speak of.
        """
        if self.batch is not None:
            return self._activated(self.batch(x))
        if self.kind == "layer":
            channels_last = x.permute(0, 2, 3, 1)
            normalised = F.layer_norm(channels_last, channels_last.shape[-1:], self.weight, self.bias, EPS)
            return self._activated(normalised.permute(0, 3, 1, 2))
        if self.kind == "instance" and not torch.compiler.is_compiling():
            arguments = (x, self.weight, self.bias, patches, EPS, NEGATIVE_SLOPE if self.activate else 1.0)
            if can_fuse(x, self.weight, patches):
                return FusedInstanceNorm.apply(*arguments)
            if triton_norm.can_fuse(x, self.weight):
                return triton_norm.TritonInstanceNorm.apply(*arguments)
            if x.device.type == "cpu":
                return _InstanceNorm.apply(x, self.weight, self.bias, patches, self.activate)
        image = _joined(x, patches)
        if self.kind == "group":
            image = F.group_norm(image, GROUPS, self.weight, self.bias, EPS)
        else:
            image = torch.instance_norm(image, self.weight, self.bias, None, None, True, 0.0, EPS, True)
        channels_last = image.permute(0, 2, 3, 1).unflatten(1, (patches, -1)).flatten(0, 1)
        return self._activated(channels_last.contiguous().permute(0, 3, 1, 2))

    def _activated(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, NEGATIVE_SLOPE) if self.activate else x


class _InstanceNorm(torch.autograd.Function):
    """Instance normalisation on the CPU where no fused kernel serves; a map of one position becomes the offset.

    torch's own gives back channels first, so that each layer after it copies. Its batch normalisation of every case by
    itself is the same, keeps the order and is twice as fast. The activation is part of it, because in place it would
    else hold a view, whose gradient torch copies.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, patches: int, activate: bool) -> Tensor:
        result = torch.empty_like(x)
        moments = weight.new_empty(x.shape[0] // patches, 2, weight.shape[0])
        for case, to, (mean, inverse) in zip(x.split(patches), result.split(patches), moments, strict=True):
            torch.ops.aten.native_batch_norm.out(
                case, weight, bias, None, None, True, 0.0, EPS, out=to, save_mean=mean, save_invstd=inverse
            )
            if activate:
                F.leaky_relu(to, NEGATIVE_SLOPE, inplace=True)
        ctx.save_for_backward(x, weight, moments, *([result] if activate else []))
        ctx.patches = patches
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, moments, *activated = ctx.saved_tensors
        of_x = torch.empty_like(x)
        of_parameters = moments.new_zeros(2, len(weight))
        for index, case in enumerate(x.split(ctx.patches)):
            here = slice(index * ctx.patches, (index + 1) * ctx.patches)
            of_case = gradient[here]
            if activated:
                of_case = torch.ops.aten.leaky_relu_backward(of_case, activated[0][here], NEGATIVE_SLOPE, True)
            of_x[here], *others = torch.ops.aten.native_batch_norm_backward(
                of_case, case, weight, None, None, *moments[index], True, EPS, [True, True, True]
            )
            of_parameters += torch.stack(others)
        return of_x, *of_parameters, None, None


def _joined(x: Tensor, patches: int) -> Tensor:
    """The patches of each case one below the other: of a channels-last tensor such a one, without a copy."""
    return x.permute(0, 2, 3, 1).unflatten(0, (-1, patches)).flatten(1, 2).permute(0, 3, 1, 2)
