"""Mean and variance of what all processes of torch.distributed have, each with a part of it."""

from __future__ import annotations

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
    from torch.distributed.nn.functional import all_reduce  # cannot be imported where distributed is not available

    total = mean.new_tensor(float(count)).double()
    distributed.all_reduce(total)
    share = count / float(total)
    common = all_reduce(mean * share)
    return common, all_reduce((variance + (mean - common) ** 2) * share), int(total)
