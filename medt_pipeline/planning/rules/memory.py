"""Memory for training: what the user allows, else a share of what the device has; what is done where it is short."""

from __future__ import annotations

from collections.abc import Mapping

from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.presets import DeviceKind

SHARE_OF_DEVICE: Mapping[DeviceKind, float] = {"cpu": 0.5, "gpu": 0.9}
"""Of its memory that training may take: a GPU is there for it, the machine's memory serves other programs too."""


def choose_memory(allowed_gb: float | None, device_gb: float, device_kind: DeviceKind) -> Decision[float]:
    """Choose how much memory training may take, in GB (10⁹ bytes).

    Args:
        allowed_gb: what the user said; None: nothing.
        device_gb: memory of the device that will train.
        device_kind: "cpu" or "gpu".
    """
    share = SHARE_OF_DEVICE[device_kind]
    value = round(share * device_gb, 1) if allowed_gb is None else allowed_gb
    device = "GPU" if device_kind == "gpu" else "machine"
    origin = f"{share:.0%} of the {device_gb:.1f} GB of this {device}" if allowed_gb is None else "as it was set"
    facts = {"allowed_gb": allowed_gb, "device_gb": round(device_gb, 1), "device_kind": device_kind}
    return Decision("memory", value, "memory.choose_memory", f"Training may take {value:g} GB: {origin}.", facts)


def choose_recomputation(fitting_kept: int, fitting_recomputed: int, least: int, memory_gb: float) -> Decision[bool]:
    """Choose whether the attention blocks are computed again in the backward instead of kept.

    Args:
        fitting_kept: patches a step that fit where all is kept.
        fitting_recomputed: patches that fit where the blocks are computed again.
        least: patches that a step must have.
        memory_gb: memory for training.
    """
    value = fitting_kept < least
    kept, recomputed = (f"{number} patch{'' if number == 1 else 'es'}" for number in (fitting_kept, fitting_recomputed))
    reason = f"{memory_gb:g} GB hold {kept} a step where everything is kept for the backward"
    reason += f", {recomputed} where attention is computed again, which takes a third more time." if value else "."
    facts = {"fitting_kept": fitting_kept, "fitting_recomputed": fitting_recomputed, "least": least}
    return Decision("recomputation", value, "memory.choose_recomputation", reason, facts)
