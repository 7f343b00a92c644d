"""Random numbers of a transform, from torch's global generator as batchgeneratorsv2 takes them."""

from __future__ import annotations

import torch


def uniform(low: float, high: float) -> float:
    """An even draw between `low` and `high`."""
    return low + (high - low) * torch.rand(1).item()


def symmetric(limit: float) -> float:
    """An even draw between `-limit` and `limit`."""
    return uniform(-limit, limit)
