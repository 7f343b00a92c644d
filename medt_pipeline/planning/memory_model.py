"""Memory of one training step, counted on tensors without data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

COPIES_OF_PARAMETERS = 4
"""Weights, gradients and the two moments of AdamW."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one training step.

    Attributes:
        parameters: weights, gradients and optimizer state.
        saved: what is kept for backward; grows in proportion to the batch.
        batch_size: patches a step.
    """

    parameters: int
    saved: int
    batch_size: int

    def largest_batch(self, memory: float) -> int:
        """The most patches that fit into `memory` bytes."""
        return max(int((memory - self.parameters) // (self.saved / self.batch_size)), 0)


def estimate_training_memory(
    build_network: Callable[[], nn.Module], input_channels: int, patch_size: tuple[int, int], batch_size: int
) -> TrainingMemory:
    """Estimate the memory of one training step.

    The network runs once on the meta device, where tensors have shapes but no data, and each storage that autograd
    saves is counted once. On that device the attention's reference backend runs, which keeps length × length maps:
    the estimate is an upper bound for the fused backends.

    Args:
        build_network: makes the network.
        input_channels: channels of the image.
        patch_size: (height, width).
        batch_size: patches a step.
    """
    with torch.device("meta"):
        network = build_network()
        x = torch.zeros(batch_size, input_channels, *patch_size)
    parameters = sum(parameter.nbytes for parameter in network.parameters())
    known = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    saved: dict[int, tuple[int, Tensor]] = {}

    def remember(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            # The tensor is kept with its size: a freed storage's address could be taken by the next.
            saved[storage._cdata] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        network.train()(x)
    total = sum(size for size, _ in saved.values())
    return TrainingMemory(COPIES_OF_PARAMETERS * parameters, total, batch_size)
