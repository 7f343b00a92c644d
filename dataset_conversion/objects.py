"""The objects of a label map: their sizes, and where the largest and the smallest lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class FoundObject:
    """One object: its label, its pixels, and its box as (first row, first column, last row, last column)."""

    label: int
    area: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class CaseObjects:
    """The objects of a case: pixels of each by label, (n,), and the smallest and the largest of all, None if empty."""

    areas: Mapping[int, np.ndarray] = field(default_factory=dict)
    smallest: FoundObject | None = None
    largest: FoundObject | None = None


def find_objects(labels: np.ndarray, objects: np.ndarray | None = None) -> CaseObjects:
    """Find the objects of a label map, (H, W), where 0 is background.

    Args:
        objects: (H, W) object numbers, 0 for none; an object has the label that most of its pixels have, and does not
            count where that is background. None: the 8-connected regions of each label are the objects.
    """
    areas: dict[int, np.ndarray] = {}
    found: list[FoundObject] = []
    for label, numbered in (_regions(labels) if objects is None else _instances(labels, objects)).items():
        sizes = np.bincount(numbered.ravel())
        sizes[0] = 0
        numbers = np.flatnonzero(sizes)
        areas[label] = sizes[numbers]
        for number in (numbers[areas[label].argmin()], numbers[areas[label].argmax()]):
            found.append(FoundObject(label, int(sizes[number]), _box(numbered == number)))
    if not found:
        return CaseObjects()
    return CaseObjects(areas, min(found, key=lambda one: one.area), max(found, key=lambda one: one.area))


def _regions(labels: np.ndarray) -> dict[int, np.ndarray]:
    present = np.flatnonzero(np.bincount(labels.ravel()))
    return {label: ndimage.label(labels == label, np.ones((3, 3)))[0] for label in present.tolist() if label}


def _instances(labels: np.ndarray, objects: np.ndarray) -> dict[int, np.ndarray]:
    classes = int(labels.max()) + 1
    votes = np.bincount((objects.astype(np.int64) * classes + labels).ravel())
    votes = np.pad(votes, (0, -len(votes) % classes)).reshape(-1, classes)
    label_of = votes.argmax(1)
    label_of[0] = 0
    return {label: np.where(label_of[objects] == label, objects, 0) for label in np.unique(label_of).tolist() if label}


def _box(region: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])
