"""Mean and variance of what all processes of torch.distributed have, each with a part of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def process_count() -> int:
    """Number of processes that train together; 1 where torch.distributed is not in use."""
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def over_all_processes(mean: Tensor, variance: Tensor, count: int) -> tuple[Tensor, Tensor, int]:
    """Mean, biased variance and count of the entries of all processes together; the same where there is one.

    Counts may differ between processes. Differentiable: a process's inputs get the gradients of
    what all processes make of them. Means are combined before variances, as deviations from the common mean, so
    nothing cancels.

    Args:
        mean: of this process's entries, any shape.
        variance: of the same, divided by the count.
        count: their number.
    """
    if process_count() == 1:
        return mean, variance, count
    total = mean.new_tensor(float(count)).double()
    distributed.all_reduce(total)
    share = count / float(total)
    common = _Sum.apply(mean * share)
    return common, _Sum.apply((variance + (mean - common) ** 2) * share), int(total)


class _Sum(torch.autograd.Function):
    """Sum over processes; each one's part gets the gradients of what all of them make of the sum."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return _summed(part)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(part: Tensor) -> Tensor:
    total = part.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total
