"""How far the outlines of two masks lie apart: HD95, average symmetric surface distance, normalised surface Dice.

The outline of a mask is made of its own pixels: those of which one of the four neighbours is not in the mask, where
what lies beyond the image's border is not. Distances are Euclidean, between centres of pixels, in the unit of
`spacing`. MONAI's metrics do alike (without subvoxels).

| reference, prediction            | HD95, ASSD | surface Dice |
|----------------------------------|------------|--------------|
| present, present                 | defined    | defined      |
| empty, empty                     | NaN        | NaN          |
| present, empty or empty, present | NaN        | 0            |

A distance to something that is not there has no value, so means of HD95 and ASSD leave misses and false alarms out:
they must be read beside the number of those.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from medt_pipeline.evaluation.metrics import ratio

LEAF_SIZE = 32
"""Points in a leaf of the search trees, which are asked once: larger leaves than SciPy's pay off."""


class SurfaceDistances(NamedTuple):
    """Distance of each outline pixel of one mask to the outline of the other; infinite where the other is empty.

    Attributes:
        of_reference: (n,), from the reference's outline to the prediction's.
        of_prediction: (m,), from the prediction's outline to the reference's.
    """

    of_reference: np.ndarray
    of_prediction: np.ndarray


class SurfaceSums(NamedTuple):
    """What adds up over images to pooled scores.

    Attributes:
        outline: outline pixels of both masks.
        within: those of them no further than the tolerance from the other outline.
        measured: those of them with a distance, that is of images where both masks are present.
        distance: sum of these distances.
    """

    outline: int
    within: int
    measured: int
    distance: float


def surface_distances(
    reference: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> SurfaceDistances:
    """Distances between the outlines of two masks, (H, W) bool of the same shape.

    Args:
        spacing: height and width of a pixel; it sets the unit of the distances.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> surface_distances(np.array([[1, 0, 0, 0]], bool), np.array([[0, 0, 1, 0]], bool), (1.0, 0.5))
        SurfaceDistances(of_reference=array([1.]), of_prediction=array([1.]))
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"reference has the shape {reference.shape}, prediction {prediction.shape}")
    one, other = (np.argwhere(outline(mask)) * np.asarray(spacing, float) for mask in (reference, prediction))
    return SurfaceDistances(_nearest(one, other), _nearest(other, one))


def outline(mask: np.ndarray) -> np.ndarray:
    """The pixels of `mask`, (H, W) bool, with one of their four neighbours outside of it or of the image."""
    padded = np.pad(mask, 1)
    return mask & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])


def hausdorff_95(distances: SurfaceDistances) -> float:
    """HD95: the larger of the two outlines' 95th percentiles of distance (interpolated linearly); NaN if one is empty.

    The maximum itself, the Hausdorff distance, hangs on a single pixel (Huttenlocher et al. 1993; Maier-Hein et al.,
    Metrics Reloaded, 2024).
    """
    if not _both(distances):
        return float("nan")
    return max(float(np.percentile(one, 95)) for one in distances)


def sum_surface(distances: SurfaceDistances, tolerance: float) -> SurfaceSums:
    """What `average_surface_distance` and `surface_dice` need of one image.

    Args:
        tolerance: in the unit of the distances; a distance equal to it is within.
    """
    every = np.concatenate(distances)
    within = int(np.count_nonzero(every <= tolerance))
    if not _both(distances):
        return SurfaceSums(len(every), within, 0, 0.0)
    return SurfaceSums(len(every), within, len(every), float(every.sum()))


def average_surface_distance(sums: SurfaceSums) -> float:
    """Average symmetric surface distance (ASSD): (Σ d(s, S') + Σ d(s', S)) / (|S| + |S'|); NaN if one is empty.

    Every outline pixel of both masks counts once, as in Heimann et al. 2009 and MONAI's symmetric surface distance.
    """
    return ratio(sums.distance, sums.measured)


def surface_dice(sums: SurfaceSums) -> float:
    """Normalised surface Dice (NSD): share of outline pixels of both masks within the tolerance of the other outline.

    In [0, 1]; 0 if one mask is empty, NaN if both are (Nikolov et al. 2018; outline pixels are counted, not measured).
    """
    return ratio(sums.within, sums.outline)


def _nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    return KDTree(others, leafsize=LEAF_SIZE).query(points)[0]


def _both(distances: SurfaceDistances) -> bool:
    return bool(len(distances.of_reference) and len(distances.of_prediction))
