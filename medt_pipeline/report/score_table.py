"""Scores over all cases, with intervals over groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medt_pipeline.evaluation.metrics import Scores, add_counts, all_scores
from medt_pipeline.report.cases import Case
from medt_pipeline.report.estimates import Estimate, mean_over_images


@dataclass(frozen=True)
class ScoreRow:
    """One class, or all together.

    Attributes:
        label: name of the class.
        means: mean over images by score: "dice", "iou", and of one class "precision" and "recall".
        pooled: of the pixels of all images together; None for all classes together.
        kinds: number of images that are "both", "neither", "false alarm" or "miss"; {} for all classes together.
    """

    label: str
    means: Mapping[str, Estimate]
    pooled: Scores | None
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of the cases of a report.

    Attributes:
        rows: one a class.
        together: mean over images of the mean over the classes of an image.
        images: number of cases.
        groups: number of groups over which the intervals were drawn.
    """

    rows: tuple[ScoreRow, ...]
    together: ScoreRow
    images: int
    groups: int


def score_table(cases: Sequence[Case]) -> ScoreTable | None:
    """Scores of at least one case; None without ground truth."""
    scored = sorted((case for case in cases if case.scores), key=lambda case: case.name)
    if not scored:
        return None
    groups = [case.resampled_with or case.name for case in scored]
    labels = list(dict.fromkeys(label for case in scored for label in case.scores))
    means = {
        "dice": mean_over_images([case.dice for case in scored], groups),
        "iou": mean_over_images([case.iou for case in scored], groups),
    }
    together = ScoreRow("mean of the classes", means, None, {})
    rows = tuple(_row(label, scored) for label in labels)
    return ScoreTable(rows, together, len(scored), len(set(groups)))


def _row(label: str, cases: Sequence[Case]) -> ScoreRow:
    own = [case for case in cases if label in case.scores]
    scores = [case.scores[label] for case in own]
    groups = [case.resampled_with or case.name for case in own]
    means = {name: mean_over_images([getattr(one, name) for one in scores], groups) for name in Scores._fields}
    pooled = all_scores(add_counts(one.counts for one in scores))
    return ScoreRow(label, means, pooled, Counter(one.kind for one in scores))
