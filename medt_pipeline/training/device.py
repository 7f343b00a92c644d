"""Which device to train and predict on."""

from __future__ import annotations

import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.machine import memory_gb
from medt_pipeline.planning.presets import DeviceKind


def choose_device(wanted: str = "auto", elsewhere: bool = False) -> torch.device:
    """The device named "cpu", "cuda" or "mps"; for "auto" the first of CUDA, MPS, CPU that is there.

    Args:
        wanted: its name.
        elsewhere: on a cluster's machines, which may have other devices than this one.

    Raises:
        UserError: the wanted device is not there.
    """
    if elsewhere and wanted in ("cpu", "cuda"):
        return torch.device(wanted)
    if elsewhere and wanted == "mps":
        raise UserError("A Ray cluster knows no device mps; name cpu or cuda with --on.")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, there in present.items() if there)
    if not present.get(wanted, False):
        there = ", ".join(name for name, is_there in present.items() if is_there)
        raise UserError(f"The device {wanted!r} is not available here; available: {there}.")
    return torch.device(wanted)


def device_kind(device: torch.device) -> DeviceKind:
    """What presets distinguish: "cpu" or "gpu"."""
    return "cpu" if device.type == "cpu" else "gpu"


def device_memory_gb(device: torch.device) -> float:
    """Memory of the device in GB (10⁹ bytes); that of the machine where the device shares it."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 1e9
    return memory_gb()
