"""Hausdorff distances between the objects of two instance maps, without a map of distances for each object."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from medt_pipeline.evaluation.surface_metrics import LEAF_SIZE


class ObjectPixels:
    """Where the pixels of each object lie.

    Args:
        instances: (H, W), objects numbered 1, 2, … n without gaps.
        others: the instance map of the other side, of the same shape.
        spacing: height and width of a pixel.

    Attributes:
        low: (n, 2) smallest coordinates of each object.
        high: (n, 2) largest coordinates.
    """

    def __init__(self, instances: np.ndarray, others: np.ndarray, spacing: tuple[float, float]) -> None:
        places = np.flatnonzero(instances)
        numbers = instances.ravel()[places]
        order = np.argsort(numbers, kind="stable")
        places = places[order]
        starts = np.flatnonzero(np.diff(numbers[order])) + 1
        coordinates = np.stack(np.unravel_index(places, instances.shape), 1) * np.asarray(spacing, float)
        self._coordinates = np.split(coordinates, starts)
        self._others = np.split(others.ravel()[places], starts)
        self._on_outline = np.split(_outlines(instances).ravel()[places], starts)
        self._trees: dict[int, KDTree] = {}
        self.low = np.array([one.min(0) for one in self._coordinates])
        self.high = np.array([one.max(0) for one in self._coordinates])

    def directed(self, one: int, others: ObjectPixels, other: int) -> float:
        """Largest distance of a pixel of object `one` to the nearest pixel of object `other` of the other side.

        Pixels that the two share have the distance 0, and to all others the nearest pixel of `other` is on its outline.
        """
        outside = self._coordinates[one][self._others[one] != other + 1]
        if not len(outside):
            return 0.0
        farthest = outside[others._may_be_farthest(other, outside)]
        return float(others._tree(other).query(farthest)[0].max())

    def _may_be_farthest(self, one: int, points: np.ndarray) -> np.ndarray:
        """Which of `points` may be farthest from object `one`, so that a speck in a large object needs few queries.

        A point's distance to one of the object's pixels is at least that to the object, and at most the object's
        diagonal more.
        """
        distances = np.linalg.norm(points - self._coordinates[one][0], axis=1)
        diagonal = np.linalg.norm(self.high[one] - self.low[one])
        return distances >= distances.max() - diagonal

    def _tree(self, one: int) -> KDTree:
        if one not in self._trees:
            self._trees[one] = KDTree(self._coordinates[one][self._on_outline[one]], leafsize=LEAF_SIZE)
        return self._trees[one]


def hausdorff_to_partners(own: ObjectPixels, others: ObjectPixels, partners: np.ndarray) -> np.ndarray:
    """Hausdorff distance of each object to its partner; without one, the smallest to any object of the other side.

    Args:
        own: n objects.
        others: those of the other side, at least one.
        partners: (n,) index of the partner among `others`, -1 for none.
    """
    return np.array(
        [
            _hausdorff(own, one, others, other) if other >= 0 else _to_nearest(own, one, others)
            for one, other in enumerate(partners.tolist())
        ]
    )


def _hausdorff(own: ObjectPixels, one: int, others: ObjectPixels, other: int) -> float:
    return max(own.directed(one, others, other), others.directed(other, own, one))


def _to_nearest(own: ObjectPixels, one: int, others: ObjectPixels) -> float:
    """Smallest Hausdorff distance to any object.

    Two sets at Hausdorff distance h have bounding boxes whose sides differ by h at most: most objects need no look.
    """
    bounds = np.maximum(np.abs(others.low - own.low[one]), np.abs(others.high - own.high[one])).max(1)
    nearest = np.inf
    for other in np.argsort(bounds, kind="stable").tolist():
        if bounds[other] >= nearest:
            break
        nearest = min(nearest, _hausdorff(own, one, others, other))
    return nearest


def _outlines(instances: np.ndarray) -> np.ndarray:
    """Pixels of objects with one of their four neighbours outside of the same object or of the image."""
    padded = np.pad(instances, 1)
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (instances > 0) & np.any([instances != one for one in neighbours], axis=0)
