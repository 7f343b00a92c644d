"""Memory of one training step, counted on tensors without data."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medt_pipeline.planning.presets import DeviceKind

COPIES_OF_PARAMETERS = 4
"""Weights, gradients and the two moments of AdamW."""
HOLES: Mapping[DeviceKind, float] = {"cpu": 1.2, "gpu": 1.1}
"""Memory that the allocator takes for a byte in use, measured on the CPU with glibc for patches of 128 × 128 to
512 × 512; on the GPU torch's caching allocator."""
PROCESS_BYTES: Mapping[DeviceKind, int] = {"cpu": 700_000_000, "gpu": 500_000_000}
"""What a training process holds beside its tensors, measured: on the CPU all of Python with torch and nnU-Net and some
batches, on the GPU the CUDA context."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one training step.

    Attributes:
        process: what the process holds whatever it trains.
        parameters: weights, gradients and optimizer state.
        activations: the most that forward and backward hold at a time, with the allocator's holes; grows in proportion
            to the batch.
        batch_size: patches a step.
    """

    process: int
    parameters: int
    activations: int
    batch_size: int

    @property
    def total(self) -> int:
        """Peak memory of a training."""
        return self.process + self.parameters + self.activations

    def largest_batch(self, memory: float) -> int:
        """The most patches that fit into `memory` bytes; 0 if none does."""
        left = memory - self.process - self.parameters
        return max(int(left // (self.activations / self.batch_size)), 0)


def estimate_training_memory(
    build_network: Callable[[], nn.Module],
    input_channels: int,
    patch_size: tuple[int, int],
    batch_size: int,
    device_kind: DeviceKind,
) -> TrainingMemory:
    """Estimate the memory of one training step in float32.

    Forward, loss and backward run on fake tensors, which have shapes but no data; each storage counts from the operator
    that makes it until nothing refers to it. Attention and its backward are the operators that the CPU runs.

    Args:
        build_network: makes the network.
        input_channels: channels of the image.
        patch_size: (height, width).
        batch_size: patches a step.
        device_kind: "cpu" or "gpu".
    """
    with FakeTensorMode():
        network = build_network().train()
        x = torch.empty(batch_size, input_channels, *patch_size)
        with _LiveBytes() as live:
            outputs = network(x)
            losses = [_loss(logits) for logits in (outputs if isinstance(outputs, list) else [outputs])]
            torch.stack(losses).sum().backward()
        parameters = sum(parameter.nbytes for parameter in network.parameters())
    activations = int(HOLES[device_kind] * live.peak)
    return TrainingMemory(PROCESS_BYTES[device_kind], COPIES_OF_PARAMETERS * parameters, activations, batch_size)


def estimate_planned_memory(
    architecture: Mapping[str, Any],
    dataset_json: Mapping[str, Any],
    patch_size: tuple[int, int],
    batch_size: int,
    device_kind: DeviceKind,
) -> TrainingMemory:
    """Estimate the memory of one training step of a network that a plan describes.

    Args:
        architecture: the entry of this name of a configuration.
        dataset_json: content of dataset.json, for channels and classes.
        patch_size: (height, width).
        batch_size: patches a step.
        device_kind: "cpu" or "gpu".
    """
    channels, classes = len(dataset_json["channel_names"]), len(dataset_json["labels"])

    def build() -> nn.Module:
        names = ("network_class_name", "arch_kwargs", "_kw_requires_import")
        network: nn.Module = get_network_from_plans(*(architecture[name] for name in names), channels, classes)
        return network

    return estimate_training_memory(build, channels, patch_size, batch_size, device_kind)


def estimate_configuration_memory(
    plans: Mapping[str, Any],
    configuration: str,
    dataset_json: Mapping[str, Any],
    device_kind: DeviceKind,
    batch_size: int | None = None,
) -> TrainingMemory:
    """Estimate the memory of one training step of a configuration of a plan.

    Args:
        plans: content of a plans file.
        configuration: name of one of its configurations.
        dataset_json: content of dataset.json, for channels and classes.
        device_kind: "cpu" or "gpu".
        batch_size: patches a step; None: as planned.
    """
    settings = PlansManager(dict(plans)).get_configuration(configuration).configuration
    height, width = settings["patch_size"]
    batch = settings["batch_size"] if batch_size is None else batch_size
    return estimate_planned_memory(settings["architecture"], dataset_json, (height, width), batch, device_kind)


def _loss(logits: Tensor) -> Tensor:
    """Cross-entropy and a soft overlap, which hold about what nnU-Net's loss of both holds."""
    target = torch.empty(logits.shape[0], *logits.shape[2:], dtype=torch.long)
    one_hot = torch.empty_like(logits)
    return F.cross_entropy(logits, target) - (logits.softmax(1) * one_hot).sum()


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that operators make, while anything refers to them.

    Attributes:
        now: bytes at the moment.
        peak: the most so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def forget(_: Any) -> None:
            self.now -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, forget)
        self.now += size
        self.peak = max(self.peak, self.now)
