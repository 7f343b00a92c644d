"""How the loss is summed: Dice over the batch or over each patch, and at which resolutions."""

from __future__ import annotations

from collections.abc import Sequence

from medt_pipeline.fingerprint.set_objects import ClassSummary
from medt_pipeline.planning.decisions import Decision

LEAST_SIDE_FOR_DEEP_SUPERVISION = 64
"""Pixels along the shorter side of a patch: at half the resolution, outlines then still have a shape."""


def choose_batch_dice(classes: Sequence[ClassSummary], empty_masks: int) -> Decision[bool]:
    """Choose whether the Dice loss counts the pixels of a batch together: yes, as nnU-Net does in 2D.

    Patch by patch, one false pixel in a patch without the class would cost as much as a missed object.
    """
    rarest = min(classes, key=lambda one: one.present_case_share, default=None)
    share = rarest.present_case_share if rarest else None
    seen = f"{rarest.name} is in {share:.0%} of the images, {empty_masks} masks are empty" if rarest else "no class"
    reason = f"The pixels of a batch are counted together, as nnU-Net does in 2D: {seen}."
    facts = {"least_present_case_share": share, "empty_masks": empty_masks}
    return Decision("batch Dice", True, "loss.choose_batch_dice", reason, facts)


def choose_deep_supervision(patch_size: tuple[int, int]) -> Decision[bool]:
    """Choose whether losses at lower resolutions are added, as nnU-Net does, for networks that have outputs there."""
    side = min(patch_size)
    value = side >= LEAST_SIDE_FOR_DEEP_SUPERVISION
    compared = "at least" if value else "less than"
    reason = (
        f"{'Losses at lower resolutions too' if value else 'One loss at full resolution'}: the shorter side of a patch "
        f"has {side} pixels, {compared} {LEAST_SIDE_FOR_DEEP_SUPERVISION}."
    )
    return Decision("deep supervision", value, "loss.choose_deep_supervision", reason, {"shorter_side": side})
