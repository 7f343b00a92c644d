"""Memory and work of one training step, counted on tensors without data."""

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
from torch.utils.flop_counter import flop_registry

from medt_pipeline.planning.presets import DeviceKind

COPIES_OF_PARAMETERS = 4
"""Weights, gradients and the two moments of AdamW."""
HOLES: Mapping[DeviceKind, float] = {"cpu": 1.2, "gpu": 1.1}
"""Memory that the allocator takes for a byte in use, measured on the CPU with glibc for patches of 128 × 128 to
512 × 512; on the GPU torch's caching allocator."""
BACKWARD_OF_ATTENTION = 3
"""Forwards that the backward of an attention is worth: a gradient of each operand of each product, and the weights once
more, because no map of them is kept."""
PROCESS_BYTES: Mapping[DeviceKind, int] = {"cpu": 700_000_000, "gpu": 500_000_000}
"""What a training process holds beside its tensors, measured: on the CPU all of Python with torch and nnU-Net and some
batches, on the GPU the CUDA context."""


@dataclass(frozen=True)
class Work:
    """What takes time on any device.

    Attributes:
        operations: floating-point operations of convolutions, matrix products and attention; a multiplication with its
            addition counts two.
        traffic: bytes that operators read and write, each tensor once an operator.
    """

    operations: float
    traffic: float

    def times(self, factor: float) -> Work:
        """So many of it."""
        return Work(self.operations * factor, self.traffic * factor)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one training step, and its work.

    Attributes:
        process: what the process holds whatever it trains.
        parameters: weights, gradients and optimizer state.
        activations: the most that forward and backward hold at a time, with the allocator's holes; grows in proportion
            to the batch.
        batch_size: patches a step.
        forward: work of the network's forward alone.
        step: work of forward, loss and backward.
    """

    process: int
    parameters: int
    activations: int
    batch_size: int
    forward: Work
    step: Work

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
        with _Trace() as trace:
            outputs = network(x)
            forward = trace.work
            losses = [_loss(logits) for logits in (outputs if isinstance(outputs, list) else [outputs])]
            torch.stack(losses).sum().backward()
        parameters = sum(parameter.nbytes for parameter in network.parameters())
    activations = int(HOLES[device_kind] * trace.peak)
    return TrainingMemory(
        PROCESS_BYTES[device_kind],
        COPIES_OF_PARAMETERS * parameters,
        activations,
        batch_size,
        forward,
        trace.work,
    )


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


class _Trace(TorchDispatchMode):
    """Counts the bytes of the storages that operators make, while anything refers to them, and the operators' work.

    Attributes:
        now: bytes at the moment.
        peak: the most so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._operations = self._traffic = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    @property
    def work(self) -> Work:
        """Of all operators so far."""
        return Work(self._operations, self._traffic)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        made = [tensor for tensor in tree_leaves(result) if isinstance(tensor, Tensor)]
        self._operations += _operations(func, args, kwargs or {}, result)
        writes = func._schema.is_mutable
        for tensor in made:
            writes |= self._count(tensor.untyped_storage())
        # A view reads and writes nothing.
        if writes:
            read = [tensor for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)]
            self._traffic += sum(tensor.numel() * tensor.itemsize for tensor in (*read, *made))
        return result

    def _count(self, storage: torch.UntypedStorage) -> bool:
        """Count a storage, if it is new, until nothing refers to it; returns whether it is."""
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return False

        def forget(_: Any) -> None:
            self.now -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, forget)
        self.now += size
        self.peak = max(self.peak, self.now)
        return True


def _operations(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Floating-point operations of an operator that torch's own counter knows, or of our attention; 0 of others."""
    if func.namespace == "medt_pipeline" and "axial_attention" in func.__name__:
        forward = attention_operations(args[0].shape, args[3], args[1] is not None)
        return forward * BACKWARD_OF_ATTENTION if "backward" in func.__name__ else forward
    formula = flop_registry.get(func._overloadpacket)
    return 0 if formula is None else int(formula(*args, **kwargs, out_val=result))


def attention_operations(shape: tuple[int, ...], d_k: int, has_positions: bool) -> int:
    """Operations of the products of `axial_attention`: logits and value sums, each once more with each position.

    Args:
        shape: of queries, keys and values, (cases, lines, heads, 2 d_k + d_v, L).
        d_k: channels of a query.
        has_positions: whether there is a relative table.
    """
    cases, lines, heads, channels, length = shape
    d_v = channels - 2 * d_k
    products = 3 * d_k + 2 * d_v if has_positions else d_k + d_v
    return 2 * cases * lines * heads * length**2 * products
