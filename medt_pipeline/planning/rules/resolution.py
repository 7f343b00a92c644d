"""Patch size and target resolution: the whole image in one patch, unless objects would become too small to outline."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.rules.modality import Modality

SIDE_STEP = 32
"""Patch sides are multiples of this: four patches of the local branch with three halvings each."""
SMALLEST_DIAMETER = 12.0
"""Pixels at the target resolution that three quarters of the objects have across, at least: an outline that is off by
half a pixel then costs about 0.08 of the Dice (2 × 0.5 / 12)."""
VISIBLE_DIAMETER = 6.0
"""Pixels across below which an object cannot be told from noise in the whole-image configuration."""


@dataclass(frozen=True)
class Resolution:
    """How images are seen in training.

    Attributes:
        patch_size: (height, width) in pixels at the target resolution.
        reduction: original pixels down for one pixel at the target resolution; 1 keeps the original.
        whole: a patch shows the whole median image.
        stretch: reduction across over reduction down; other than 1 where images are resized to a fixed shape.
    """

    patch_size: tuple[int, int]
    reduction: float
    whole: bool
    stretch: float = 1.0


@dataclass(frozen=True)
class ObjectSize:
    """Diameters in original pixels of the class whose objects are smallest.

    Attributes:
        name: of the class.
        p25: a quarter of its objects are smaller.
        p50: median.
    """

    name: str
    p25: float
    p50: float


def choose_resolution(
    median_size: tuple[float, float], patch_pixels: int, max_reduction: float, objects: ObjectSize | None = None
) -> Decision[Resolution]:
    """Choose patch size and reduction for images of `median_size` (height, width).

    Images with more than `patch_pixels` pixels are reduced until one patch holds them whole, because attention over
    whole rows and columns is what the network is for. They are not reduced by more than `max_reduction`, nor until a
    quarter of the objects would be smaller than `SMALLEST_DIAMETER`; then patches hold a part. Images that are smaller
    keep their resolution.
    """
    wanted = whole_reduction(median_size, patch_pixels)
    by_objects = max(objects.p25 / SMALLEST_DIAMETER, 1.0) if objects else math.inf
    reduction = min(wanted, max_reduction, by_objects)
    resolution = _resolution(median_size, patch_pixels, reduction, wanted)
    facts = {
        "median_size": list(median_size),
        "patch_pixels": patch_pixels,
        "max_reduction": max_reduction,
        "smallest_objects": objects.name if objects else None,
        "diameter_p25_px": objects.p25 if objects else None,
    }
    reason = _reason(resolution, median_size, patch_pixels)
    if objects and reduction == by_objects < min(wanted, max_reduction):
        reason += f" Reduced further, a quarter of {objects.name} would be under {SMALLEST_DIAMETER:.0f} pixels across."
    return Decision("patch size and resolution", resolution, "resolution.choose_resolution", reason, facts)


def choose_whole_resolution(
    median_size: tuple[float, float],
    patch_pixels: int,
    max_reduction: float,
    patches: Resolution,
    objects: ObjectSize | None = None,
) -> Decision[Resolution | None]:
    """Choose how the configuration 2d_whole sees the whole image; None where it would be pointless.

    `patches` is what `choose_resolution` chose for the configuration 2d.
    """
    wanted = whole_reduction(median_size, patch_pixels)
    facts = {"reduction": wanted, "max_reduction": max_reduction, "diameter_p50_px": objects.p50 if objects else None}
    resolution: Resolution | None = None
    if patches.whole:
        reason = "Left out: the patches of 2d show whole images already."
    elif wanted > max_reduction:
        reason = f"Left out: the whole image in a patch would be reduced {wanted:.1f} times, over {max_reduction:.1f}."
    elif objects and objects.p50 / wanted < VISIBLE_DIAMETER:
        reason = (
            f"Left out: half of {objects.name} would be under {objects.p50 / wanted:.1f} pixels across, "
            f"less than {VISIBLE_DIAMETER:.0f}."
        )
    else:
        resolution = _resolution(median_size, patch_pixels, wanted, wanted)
        reason = _reason(resolution, median_size, patch_pixels)
    return Decision("whole-image configuration", resolution, "resolution.choose_whole_resolution", reason, facts)


def choose_antialiasing(resolution: Resolution, modality: Modality | None, fixed: bool) -> Decision[bool]:
    """Whether images are averaged while they are reduced: those of tissue are.

    After 300 steps on two folds, averaging gained 0.015 and -0.001 of Dice on GlaS (0.019 with a U-Net), and lost 0.003
    and 0.010 on USGRA, 0.013 and 0.021 on BUSI. On ultrasound, whose speckle is no structure, the spline's points
    rather are one more noise to train against.

    Args:
        resolution: at which images are trained.
        modality: of the images; None where it is unknown.
        fixed: every image is resized to one size, as the publication does.
    """
    averages = resolution.reduction > 1 and not fixed and modality == "histology"
    if averages:
        reason = (
            f"Every pixel is the mean of what it shows of the tissue, {resolution.reduction:.2f} times as fine: "
            "nnU-Net's spline reads single points, and finer texture would become noise."
        )
    elif fixed:
        reason = "The preset resizes by a spline."
    elif resolution.reduction > 1:
        reason = "nnU-Net's spline: averaging was seen to help on tissue only."
    else:
        reason = "No image is reduced."
    facts = {"reduction": resolution.reduction, "modality": modality}
    return Decision("antialiasing", averages, "resolution.choose_antialiasing", reason, facts)


def fixed_resolution(median_size: tuple[float, float], patch_size: tuple[int, int]) -> Decision[Resolution]:
    """The patch of a preset such as the paper's, into which every image is resized whole."""
    (rows, columns), (height, width) = patch_size, median_size
    down, across = height / rows, width / columns
    return Decision(
        "patch size and resolution",
        Resolution(patch_size, down, True, across / down),
        "resolution.fixed_resolution",
        f"The preset resizes every image to {rows} × {columns}, the median one {down:.2f} times down and {across:.2f} "
        "times across.",
        {"median_size": list(median_size), "patch_size": list(patch_size)},
    )


def chosen_resolution(
    median_size: tuple[float, float], patch_size: tuple[int, int] | None, reduction: float | None, planned: Resolution
) -> Decision[Resolution]:
    """What a user set, with the rest derived: the reduction shows the whole median image in a patch that was set."""
    rows, columns = patch_size or planned.patch_size
    if reduction is None:
        reduction = max(median_size[0] / rows, median_size[1] / columns, 1.0) if planned.whole else planned.reduction
    whole = median_size[0] / reduction <= rows + 1e-6 and median_size[1] / reduction <= columns + 1e-6
    resolution = Resolution((rows, columns), reduction, whole)
    return Decision(
        "patch size and resolution",
        resolution,
        "resolution.chosen_resolution",
        f"As it was set: {_reason(resolution, median_size, rows * columns)}",
        {"median_size": list(median_size), "patch_size": patch_size, "reduction": reduction},
    )


def whole_reduction(median_size: tuple[float, float], patch_pixels: int) -> float:
    """Reduction at which an image of `median_size` has at most `patch_pixels` pixels; 1 if it has no more already."""
    return max(math.sqrt(median_size[0] * median_size[1] / patch_pixels), 1.0)


def _resolution(median_size: tuple[float, float], patch_pixels: int, reduction: float, wanted: float) -> Resolution:
    """Patch of whole steps for images of `median_size` reduced `reduction` times; `wanted` shows them whole."""
    height, width = median_size
    whole = reduction >= wanted
    fraction = 1.0 if whole else math.sqrt(patch_pixels * reduction**2 / (height * width))
    patch = (_to_step(height * fraction / reduction), _to_step(width * fraction / reduction))
    if reduction > 1 and whole:
        # Rounding the sides moved them a little: the reduction follows, so that the whole image still fits.
        reduction = max(height / patch[0], width / patch[1], 1.0)
    return Resolution(patch, reduction, whole)


def _reason(resolution: Resolution, median_size: tuple[float, float], patch_pixels: int) -> str:
    (rows, columns), reduction = resolution.patch_size, resolution.reduction
    side = min(math.sqrt(rows * columns * reduction**2 / (median_size[0] * median_size[1])), 1.0)
    seen = "the whole median image" if resolution.whole else f"{side:.0%} of each side of the median image"
    scale = "at its own resolution" if reduction == 1 else f"reduced {reduction:.2f} times"
    return f"A patch of {rows} × {columns} shows {seen} {scale}, within {patch_pixels} pixels for this device."


def _to_step(side: float) -> int:
    return max(round(side / SIDE_STEP), 1) * SIDE_STEP
