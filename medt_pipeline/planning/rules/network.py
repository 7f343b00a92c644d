"""Which network of the family: by the device and by how much there is to learn from."""

from __future__ import annotations

from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.presets import ArchitectureName, DeviceKind

CASES_FOR_LARGE = 200
"""Fewer are learned by heart: with 60 images, more capacity lowered the training loss and not the score."""
CASES_TO_COMPARE = 30
"""With fewer, nnU-Net's U-Net was ahead as often or more (docs/reference/contest.md, few training images)."""


def choose_network(cases: int, device_kind: DeviceKind) -> Decision[ArchitectureName]:
    """Choose the network of the configurations `2d` and `2d_whole`.

    Args:
        cases: that can be trained on.
        device_kind: "cpu" or "gpu".
    """
    # Never the small one: with five and ten images it scored lower on average too (docs/reference/contest.md).
    value: ArchitectureName = "MedT-M"
    if device_kind == "gpu" and cases >= CASES_FOR_LARGE:
        value, why = "MedT-L", f"{cases} cases and a GPU"
    elif device_kind == "gpu":
        why = f"{cases} cases are fewer than the {CASES_FOR_LARGE} for the large one"
    else:
        why = "a CPU trains the large one in no acceptable time"
    if cases < CASES_TO_COMPARE:
        why += "; with so few, nnU-Net's U-Net may be better: `medt_train ID cv -c 2d 2d_unet` trains both"
    facts = {"cases": cases, "device_kind": device_kind}
    return Decision("network", value, "network.choose_network", f"{value}: {why}.", facts)
