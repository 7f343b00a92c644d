"""Batch size: as the preset wishes, unless the data set is so small that a step would see too much of it."""

from __future__ import annotations

from medt_pipeline.planning.decisions import Decision

MIN_BATCH_SIZE = 2
"""Batch normalisation needs more than one patch."""


def choose_batch_size(
    wanted: int, patch_pixels: int, dataset_pixels: float, max_share: float, fitting: int
) -> Decision[int]:
    """Choose the number of patches a step.

    Args:
        wanted: batch size of the preset.
        patch_pixels: pixels of a patch.
        dataset_pixels: pixels of all training images at the target resolution.
        max_share: share of `dataset_pixels` that a step may see (nnU-Net caps it at 5 % against over-fitting).
        fitting: largest batch that fits the memory target.
    """
    by_share = round(dataset_pixels * max_share / patch_pixels)
    value = max(min(wanted, by_share, fitting), MIN_BATCH_SIZE)
    limits = {
        "the preset": wanted,
        f"at most {max_share:.0%} of all pixels in a step": by_share,
        "the memory target": fitting,
    }
    binding = min(limits, key=lambda name: limits[name])
    reason = f"Set by {binding}." if limits[binding] >= value else f"{binding} asks for less than the least of {value}."
    facts = {"wanted": wanted, "by_share_of_pixels": by_share, "fits_memory": fitting}
    return Decision("batch size", value, "batch_size.choose_batch_size", reason[0].upper() + reason[1:], facts)
