"""Foreground oversampling: how many patches of a batch must show a class, from how rare the rarest class is."""

from __future__ import annotations

from collections.abc import Sequence

from medt_pipeline.fingerprint.set_images import SizeCount
from medt_pipeline.fingerprint.set_objects import ClassSummary
from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.rules.resolution import Resolution

OF_NNUNET = 0.33
"""nnU-Net's share of a batch (nnUNetTrainer.oversample_foreground_percent)."""
OF_RARE = 0.5
RARE = 0.01
"""Share of the pixels below which a class is rare: a patch cut anywhere would often miss it."""


def choose_foreground_oversampling(
    resolution: Resolution, sizes: Sequence[SizeCount], classes: Sequence[ClassSummary]
) -> Decision[float]:
    """Choose the share of a batch whose patches are cut around a pixel of some class, 0 to 1.

    Args:
        resolution: of the configuration.
        sizes: of the images.
        classes: of the data set.
    """
    rows, columns = (side * resolution.reduction for side in resolution.patch_size)
    cut = sum(one.cases for one in sizes if one.height_px > rows + 1 or one.width_px > columns * resolution.stretch + 1)
    rarest = min((one for one in classes if one.pixel_share > 0), key=lambda one: one.pixel_share, default=None)
    share = None if rarest is None else rarest.pixel_share
    if rarest is None:
        value, reason = 0.0, "No mask holds any class."
    elif not cut:
        value, reason = 0.0, "Every patch shows a whole image, so no class can be missed by its place."
    elif rarest.pixel_share < RARE:
        value = OF_RARE
        reason = (
            f"{rarest.name} covers {rarest.pixel_share:.2%} of the pixels: half of the patches are cut around a class."
        )
    else:
        value = OF_NNUNET
        reason = f"nnU-Net's third: the rarest class, {rarest.name}, covers {rarest.pixel_share:.1%} of the pixels."
    facts = {"images_larger_than_patch": cut, "rarest_pixel_share": share}
    rule = "foreground_oversampling.choose_foreground_oversampling"
    return Decision("foreground oversampling", value, rule, reason, facts)
