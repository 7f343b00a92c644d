"""The classes of a data set: how much there is of each, and how large its objects are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medt_pipeline.fingerprint.case_facts import MeasuredCase
from medt_pipeline.fingerprint.objects import Diameters, describe_diameters
from medt_pipeline.fingerprint.spread import median_of, share_of


@dataclass(frozen=True)
class ClassSummary:
    """One class over all cases. Lengths are in pixels; medians over no case are None.

    Attributes:
        name: as dataset.json has it.
        pixel_share: share of all pixels of the set, 0 to 1.
        present_case_share: share of the cases with at least a pixel, 0 to 1.
        objects: number of objects in all cases.
        objects_per_case: median over the cases where the class is present.
        diameter_px: of all objects of all cases together; None where there is no object.
        diameter_share_of_side: median over cases of their median diameter over the image's shorter side.
        touching_share: share of the objects that touch another; None without instance maps.
        thickness_px: median over the cases where the class is present.
        boundary_length_px: the same.
    """

    name: str
    pixel_share: float
    present_case_share: float
    objects: int
    objects_per_case: float | None
    diameter_px: Diameters | None
    diameter_share_of_side: float | None
    touching_share: float | None
    thickness_px: float | None
    boundary_length_px: float | None


def summarise_classes(cases: Sequence[MeasuredCase], classes: Mapping[int, str]) -> dict[str, ClassSummary]:
    """Summary of each of `classes`, name by label value, over at least one case."""
    return {str(label): _summarise_class(cases, label, name) for label, name in classes.items()}


def class_imbalance(classes: Mapping[str, ClassSummary]) -> float | None:
    """Largest over smallest share of pixels among the classes that occur; None for fewer than two."""
    shares = [one.pixel_share for one in classes.values() if one.pixel_share > 0]
    return max(shares) / min(shares) if len(shares) > 1 else None


def _summarise_class(cases: Sequence[MeasuredCase], label: int, name: str) -> ClassSummary:
    facts = [case.facts.objects[str(label)] for case in cases]
    sides = [(case.facts.size.height_px, case.facts.size.width_px) for case in cases]
    pixels = np.array([height * width for height, width in sides], dtype=float)
    diameters = np.concatenate([case.diameters[label] for case in cases])
    present = [one for one in facts if not one.is_absent]
    touching = [one.touching_count for one in facts if one.touching_count is not None]
    counted = sum(one.count for one in facts if one.touching_count is not None)
    relative = [
        one.diameter_px.p50 / min(side) for one, side in zip(facts, sides, strict=True) if one.diameter_px is not None
    ]
    return ClassSummary(
        name,
        float((pixels * [one.area_share for one in facts]).sum() / pixels.sum()),
        share_of(not one.is_absent for one in facts),
        len(diameters),
        median_of(one.count for one in present),
        describe_diameters(diameters),
        median_of(relative),
        sum(touching) / counted if counted else None,
        median_of(one.thickness_px for one in present),
        median_of(one.boundary_length_px for one in present),
    )
