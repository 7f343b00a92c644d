"""Convolution and batch normalisation as one convolution where the normalisation is a fixed affine map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolve_and_normalise(conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tensor:
    """`norm(conv(x))` for x (cases, channels, H, W); in evaluation mode a single convolution with changed weights.

    Args:
        conv: without bias and with zero padding.
        norm: BatchNorm2d or a module that stands for it, such as SyncBatchNorm.
    """
    if norm.training or not isinstance(norm, nn.modules.batchnorm._BatchNorm):
        return norm(conv(x))
    mean, variance, scale, bias = norm.running_mean, norm.running_var, norm.weight, norm.bias
    if mean is None or variance is None or scale is None or bias is None:
        return norm(conv(x))
    factor = scale * torch.rsqrt(variance + norm.eps)
    return F.conv2d(x, conv.weight * factor[:, None, None, None], bias - mean * factor, conv.stride, conv.padding)
