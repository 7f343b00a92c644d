"""Scores over all cases, with intervals over groups."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medt_pipeline.evaluation.metrics import add_counts
from medt_pipeline.evaluation.scores import DISTANCES, TITLES, Scores, scores_of_sums
from medt_pipeline.report.cases import Case, LabelScores
from medt_pipeline.report.estimates import Estimate, mean_over_images


@dataclass(frozen=True)
class ScoreRow:
    """One score: its title, and its mean over images for each class.

    Attributes:
        together: mean over images of the mean over the classes of an image; None but for Dice and IoU of several.
    """

    title: str
    by_class: Mapping[str, Estimate]
    together: Estimate | None = None


@dataclass(frozen=True)
class ScoreTable:
    """Scores of the cases of a report.

    Attributes:
        labels: names of the classes.
        rows: one for each score that was taken, Dice first.
        dice: mean over images of the mean over classes.
        iou: the same.
        pooled: by class, of the pixels of all images together.
        kinds: by class, number of images that are "both", "neither", "false alarm" or "miss".
        images: number of cases.
        groups: number of groups over which the intervals were drawn.
    """

    labels: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    dice: Estimate
    iou: Estimate
    pooled: Mapping[str, Scores]
    kinds: Mapping[str, Mapping[str, int]]
    images: int
    groups: int


def score_table(cases: Sequence[Case], unit: str = "px", tolerance: str = "") -> ScoreTable | None:
    """Scores of at least one case; None without ground truth.

    Args:
        cases: whose scores are summed up.
        unit: of distances.
        tolerance: of the surface Dice; "" where it is not known.
    """
    scored = sorted((case for case in cases if case.scores), key=lambda case: case.name)
    if not scored:
        return None
    groups = [case.resampled_with or case.name for case in scored]
    labels = tuple(dict.fromkeys(label for case in scored for label in case.scores))
    together = {
        "dice": mean_over_images([case.dice for case in scored], groups),
        "iou": mean_over_images([case.iou for case in scored], groups),
    }
    of_class = {label: [case.scores[label] for case in scored if label in case.scores] for label in labels}
    return ScoreTable(
        labels,
        tuple(
            ScoreRow(
                _title(name, unit, tolerance),
                {label: _mean(scored, label, name) for label in labels},
                together.get(name) if len(labels) > 1 else None,
            )
            for name in Scores._fields
            if _is_taken(of_class, name)
        ),
        **together,
        pooled={label: scores_of_sums(add_counts(one.counts for one in own)) for label, own in of_class.items()},
        kinds={label: Counter(one.kind for one in own) for label, own in of_class.items()},
        images=len(scored),
        groups=len(set(groups)),
    )


def _title(name: str, unit: str, tolerance: str) -> str:
    if name in DISTANCES:
        return f"{TITLES[name]} ({unit})"
    return f"{TITLES[name]} (within {tolerance})" if name == "surface_dice" and tolerance else TITLES[name]


def _mean(cases: Sequence[Case], label: str, name: str) -> Estimate:
    own = [case for case in cases if label in case.scores]
    values = [getattr(case.scores[label].scores, name) for case in own]
    return mean_over_images(values, [case.resampled_with or case.name for case in own])


def _is_taken(of_class: Mapping[str, Sequence[LabelScores]], name: str) -> bool:
    return any(not math.isnan(getattr(one.scores, name)) for own in of_class.values() for one in own)
