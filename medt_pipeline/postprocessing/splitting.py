"""Splitting of objects that touch, by a watershed of the distance to their outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import relabel_sequential, watershed

from medt_pipeline.postprocessing.steps import EIGHT_CONNECTED

LARGEST_DEPTH, LARGEST_SMOOTHING = 1e4, 1e2


@dataclass(frozen=True)
class Splitting:
    """How readily objects are split. Lengths are in pixels.

    Attributes:
        depth: two parts are split where the neck between them is narrower than the thinner part by more than 2 · depth
            (the distance to the outline falls by more than `depth` between two of its maxima): small splits much.
        smoothing: standard deviation of the Gaussian that smooths the distance first; 0 leaves it.

    Raises:
        ValueError: either is out of range.
    """

    depth: float
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.depth <= LARGEST_DEPTH:
            raise ValueError(f"the depth of splitting must lie above 0 and up to {LARGEST_DEPTH:g}, got {self.depth}")
        if not 0 <= self.smoothing <= LARGEST_SMOOTHING:
            raise ValueError(
                f"the smoothing of splitting must lie between 0 and {LARGEST_SMOOTHING:g}, got {self.smoothing}"
            )

    def __str__(self) -> str:
        return f"splitting(depth_px={self.depth:g}, smoothing_px={self.smoothing:g})"


def split_objects(mask: np.ndarray, splitting: Splitting | None) -> np.ndarray:
    """Instance map of `mask`, (H, W) bool: 0 for background, objects numbered 1, 2, …

    Seeds are the maxima of the distance to the outline that are at least `depth` high above the way to any higher one
    (h-maxima: regional maxima of the morphological reconstruction; Soille 2003, section 6.3.4). Every component keeps
    one object at least, and no pixel is lost. What lies beyond the image is unknown and bounds nothing.

    Args:
        splitting: None gives the 8-connected components.
    """
    components, number = ndimage.label(mask, EIGHT_CONNECTED)
    if splitting is None or not number or mask.all():
        return components
    distance = ndimage.distance_transform_edt(mask)
    if splitting.smoothing:
        distance = np.where(mask, ndimage.gaussian_filter(distance, splitting.smoothing), 0.0)
    seeds, found = ndimage.label(_seeds(distance, splitting.depth) & mask, EIGHT_CONNECTED)
    seeded = np.unique(components[seeds > 0])
    alone = mask & ~np.isin(components, seeded)
    seeds[alone] = components[alone] + found
    return relabel_sequential(watershed(-distance, seeds, mask=mask, connectivity=2))[0]


def _seeds(distance: np.ndarray, depth: float) -> np.ndarray:
    lowered = reconstruction(distance - depth, distance)
    return np.asarray(local_maxima(lowered, connectivity=2), bool)
