"""Batch normalisation over the batch of all processes, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medt_pipeline.attention import over_all_processes


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """Have every batch normalisation of `network` take its statistics over all processes of torch.distributed.

    Parameters and running statistics stay the tensors that they were. The published attention's similarity
    normalisation follows its layer's other norms: see `is_synchronised`. On CUDA devices it is torch's SyncBatchNorm,
    which knows no other devices.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            network.add_module(name, _synchronised(child))
        else:
            synchronise(child, device)
    return network


def is_synchronised(norm: nn.Module) -> bool:
    """Whether `synchronise` made this normalisation."""
    return isinstance(norm, (nn.SyncBatchNorm, SynchronisedBatchNorm))


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics in training are those of the parts of all processes together.

    The parts may differ in size; they are combined by differentiable sums. In evaluation it is torch's own.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (cases, channels, H, W)."""
        if not self.training:
            return super().forward(x)
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        mean, variance, count = over_all_processes(mean, variance, x.numel() // x.shape[1])
        self._track(mean.detach(), variance.detach() * (count / max(count - 1, 1)))
        factor = self.weight * torch.rsqrt(variance + self.eps)
        return (x - mean[:, None, None]) * factor[:, None, None] + self.bias[:, None, None]

    def _track(self, mean: Tensor, unbiased: Tensor) -> None:
        """Move the running statistics as torch does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1.0 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(unbiased, momentum)


def _synchronised(norm: nn.BatchNorm2d) -> SynchronisedBatchNorm:
    made = SynchronisedBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    made.weight, made.bias = norm.weight, norm.bias
    made.running_mean, made.running_var = norm.running_mean, norm.running_var
    made.num_batches_tracked = norm.num_batches_tracked
    return made.train(norm.training)
