"""Precision, compilation and launches by device: one decision, with its reasons, and how it is put into force."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

Precision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class DeviceFacts:
    """What the decision depends on.

    Attributes:
        kind: "cpu", "cuda" or "mps".
        capability: NVIDIA's compute capability, such as (8, 0); None on other devices and on AMD's.
        bfloat16: whether the device computes in bfloat16 itself, on a CPU by AMX.
        triton: whether torch.compile finds the Triton that it needs on CUDA devices.
        windows: whether the system is Windows.
        compile_wanted: what the variable nnUNet_compile says; None where it is not set.
    """

    kind: str
    capability: tuple[int, int] | None = None
    bfloat16: bool = False
    triton: bool = False
    windows: bool = False
    compile_wanted: bool | None = None


@dataclass(frozen=True)
class Acceleration:
    """How a training computes.

    Attributes:
        precision: of convolutions and products; weights, normalisation and sums stay in float32.
        tf32: whether products that stay in float32 may round their factors to TF32.
        compiled: whether torch.compile is tried.
        graphed: whether forward and backward are recorded once as CUDA graphs, and each step plays them.
        reasons: of each of them.
    """

    precision: Precision
    tf32: bool
    compiled: bool
    graphed: bool
    reasons: dict[str, str]

    def without(self, way: Literal["compiled", "graphed"]) -> Acceleration:
        """The same without a way that failed."""
        reasons = {**self.reasons, way: "it failed on the first step"}
        compiled, graphed = self.compiled and way != "compiled", self.graphed and way != "graphed"
        return Acceleration(self.precision, self.tf32, compiled, graphed, reasons)

    def to_json(self) -> dict[str, Any]:
        """For the manifest of a run."""
        return asdict(self)


def choose_acceleration(facts: DeviceFacts) -> Acceleration:
    """How to compute on a device."""
    if facts.kind != "cuda":
        return _without_cuda(facts)
    precision: Precision = "bfloat16" if facts.bfloat16 else "float16"
    tf32 = facts.capability is not None and facts.capability >= (8, 0)
    compiled, why = _compiled(facts)
    graphed, why_graphed = _graphed(facts, compiled)
    reasons = {
        "precision": "bfloat16 has the range of float32, so that no loss is scaled and no step lost"
        if facts.bfloat16
        else "the device has no bfloat16; losses are scaled so that float16 does not underflow",
        "tf32": f"the device {'has' if tf32 else 'has no'} TF32; its 10 bits exceed those of the precision",
    }
    reasons |= {"compiled": why, "graphed": why_graphed}
    return Acceleration(precision, tf32, compiled, graphed, reasons)


def _without_cuda(facts: DeviceFacts) -> Acceleration:
    faster = facts.kind == "cpu" and facts.bfloat16
    reason = f"{facts.kind} has no faster precision that torch's training on it gains by"
    if facts.kind == "cpu":
        # Measured: with AMX a step takes half the time, with the bfloat16 products of AVX-512 more than in float32.
        reason = "its AMX tiles multiply bfloat16" if faster else "without AMX tiles, bfloat16 is slower than float32"
    plain = "the fused CPU kernels lie outside torch.compile, and nnU-Net finds that it fails on 2D networks"
    if facts.kind == "mps":
        plain = "torch.compile does not work on MPS"
    reasons = {
        "precision": reason,
        "tf32": "TF32 is of NVIDIA's devices",
        "compiled": plain,
        "graphed": "CUDA graphs are of NVIDIA's devices",
    }
    return Acceleration("bfloat16" if faster else "float32", False, False, False, reasons)


def _compiled(facts: DeviceFacts) -> tuple[bool, str]:
    if not facts.compile_wanted:
        # Measured: compiling takes about a minute a fold, and the step that it makes hardly less time than a graph.
        wish = "is not set" if facts.compile_wanted is None else "says no"
        return False, f"nnUNet_compile {wish}; it takes a minute that most trainings do not win back"
    if facts.windows:
        return False, "torch.compile needs Triton, which is not made for Windows"
    if not facts.triton:
        return False, "torch.compile needs Triton, which is not installed"
    return True, "nnUNet_compile says yes; given up with a warning where the first step fails"


def _graphed(facts: DeviceFacts, compiled: bool) -> tuple[bool, str]:
    if compiled:
        return False, "what is compiled is launched as it is"
    if facts.capability is None:
        return False, "it is tried on NVIDIA's devices only"
    return True, "a small network's kernels take less time than their launches; given up with a warning where it fails"


def device_facts(device: torch.device) -> DeviceFacts:
    """What `choose_acceleration` asks, of this device."""
    wanted = os.environ.get("nnUNet_compile")
    compile_wanted = None if wanted is None else wanted.lower() in ("true", "1", "t")
    if device.type != "cuda":
        tiles = device.type == "cpu" and _has_amx()
        return DeviceFacts(device.type, bfloat16=tiles, compile_wanted=compile_wanted)
    from torch.utils._triton import has_triton

    capability = None if torch.version.hip else torch.cuda.get_device_capability(device)
    # On NVIDIA's older devices torch emulates it, and says that it is supported.
    bfloat16 = torch.cuda.is_bf16_supported() if capability is None else capability >= (8, 0)
    return DeviceFacts("cuda", capability, bfloat16, has_triton(), os.name == "nt", compile_wanted)


def _has_amx() -> bool:
    """Whether torch's convolutions use AMX, which oneDNN's variable can forbid; torch tells from version 2.6 on."""
    tells = getattr(torch.cpu, "_is_amx_tile_supported", None)
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "DEFAULT").upper()
    return tells is not None and bool(tells()) and (allowed == "DEFAULT" or "AMX" in allowed)


def set_precision(acceleration: Acceleration, device: torch.device) -> torch.GradScaler | None:
    """Have torch compute in the precision that was chosen; returns the scaler that float16 needs."""
    if device.type != "cuda":
        return None
    torch.set_float32_matmul_precision("high" if acceleration.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = acceleration.tf32
    torch.set_autocast_dtype("cuda", getattr(torch, acceleration.precision))
    return torch.GradScaler("cuda") if acceleration.precision == "float16" else None


def mixed_precision(acceleration: Acceleration, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """What a step on a CPU runs in; on CUDA devices nnU-Net's steps see to it themselves."""
    if device.type != "cpu" or acceleration.precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast("cpu", getattr(torch, acceleration.precision))


def compiled_or_plain(compiled: nn.Module, plain: nn.Module, example: torch.Tensor) -> nn.Module:
    """The `compiled` form of `plain` if a step on `example` succeeds with it, else `plain`, with a line of warning.

    Running statistics are as they were afterwards, and there are no gradients.
    """

    def step() -> None:
        device = example.device.type
        with torch.autocast(device, enabled=device == "cuda"):
            result = compiled(example)
        sum(one.float().sum() for one in (result if isinstance(result, (list, tuple)) else [result])).backward()

    return compiled if _succeeds(step, plain, "torch.compile") else plain


def record_graphs(network: nn.Module, example: torch.Tensor) -> bool:
    """Record forward and backward of `network` as CUDA graphs, which its calls in training mode then play.

    Such calls take inputs of the shape of `example`, and give outputs and gradients that the next call overwrites.
    Which parameters are trained must not change any more. In evaluation mode nothing changes. Running statistics are as
    they were afterwards, and there are no gradients.

    Returns:
        Whether it succeeded; if not, the network is as it was, and a line of warning was given.
    """

    def record() -> None:
        # Weights that autocast has rounded must not be kept from one call to the next.
        with torch.autocast("cuda", cache_enabled=False):
            torch.cuda.make_graphed_callables(network, (example,), allow_unused_input=True)

    return _succeeds(record, network, "A CUDA graph")


def forget_graphs(network: nn.Module) -> None:
    """Undo `record_graphs`, and give back the memory that the graphs hold, where there are any."""
    # torch puts a function of the object's own before the method of its class.
    vars(network).pop("forward", None)


def _succeeds(attempt: Callable[[], None], network: nn.Module, what: str) -> bool:
    """Whether `attempt`, which runs `network`, does; what is raised is of many kinds, all of which count as failure."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    try:
        attempt()
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(f"{what} does not work here ({reason}); training goes on without it.", stacklevel=3)
        return False
    finally:
        network.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in network.named_buffers():
                value.copy_(buffers[name])
    return True
