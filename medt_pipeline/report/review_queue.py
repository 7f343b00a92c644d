"""In which order predicted masks are looked at by a person, and why: the worst first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.report.cases import Case
from medt_pipeline.report.formats import digits

EmptyMasks = Literal["first", "last"]
"""Where masks stand that show nothing, of which no quality can be told."""


@dataclass(frozen=True)
class ReviewQueue:
    """Cases to be reviewed.

    Attributes:
        by: what ranks them: "estimated Dice" or "certainty".
        cases: the worst first, each with its rank and reason.
        of: number of cases among which these are the worst.
    """

    by: Literal["estimated Dice", "certainty"]
    cases: tuple[Case, ...]
    of: int

    def quality(self, case: Case) -> float:
        """What ranks the case, 0 to 1, higher is better; NaN where it is not known."""
        return case.estimated_dice if self.by == "estimated Dice" else case.certainty


def certainty(uncertainty: np.ndarray, mask: np.ndarray) -> float:
    """Area of a mask over itself plus the uncertainty of the whole image: 1 where nothing is in doubt.

    With u the uncertainty and m the foreground, Σ m / (Σ m + Σ u): what is doubtful outside of the mask, where
    something may be missing, counts as what is doubtful inside, and both are weighed by the size of the object.

    Args:
        uncertainty: (H, W), entropy as a share of the largest possible, 0 to 1.
        mask: (H, W), 0 is background.

    Returns:
        0 to 1; NaN for an empty mask.
    """
    area = float(np.count_nonzero(mask))
    return area / (area + float(uncertainty.sum())) if area else math.nan


def review_queue(
    cases: Sequence[Case],
    top: int | None = None,
    empty: EmptyMasks = "first",
    unlike: Mapping[str, str] | None = None,
) -> ReviewQueue:
    """Rank cases by the estimated Dice where any has one, else by certainty.

    Masks that show nothing come first (or last): either nothing is there, which a glance confirms, or all was missed,
    and no number tells which; among themselves they go by the mean uncertainty, the highest first. Cases that have no
    number though others have one come after those, by certainty. Equal ones go by name.

    Args:
        cases: with regions, which tell that a mask is empty.
        top: how many of them at most; None: all.
        empty: where empty masks stand.
        unlike: by case in what its image is unlike those of the training, for the reason.

    Raises:
        UserError: no case has an estimated Dice or a certainty, and some masks show something.
    """
    shown = [case for case in cases if not case.is_empty]
    estimated = any(not math.isnan(case.estimated_dice) for case in shown)
    if shown and not estimated and all(math.isnan(case.certainty) for case in shown):
        raise UserError(
            f"Nothing beside the masks in {shown[0].prediction.parent} tells which are doubtful; predict again with "
            "--uncertainty, or choose a recipe with medt_find_best before, which also estimates the Dice."
        )
    queue = ReviewQueue("estimated Dice" if estimated else "certainty", (), len(cases))
    known = sorted(shown, key=lambda case: (*_last(queue.quality(case)), *_last(case.certainty), case.name))
    blank = sorted(
        (case for case in cases if case.is_empty), key=lambda case: (*_last(-case.mean_uncertainty), case.name)
    )
    ordered = [*blank, *known] if empty == "first" else [*known, *blank]
    return replace(
        queue,
        cases=tuple(
            replace(case, rank=rank, reason=_reason(case, queue, (unlike or {}).get(case.name, "")))
            for rank, case in enumerate(ordered[:top], start=1)
        ),
    )


def _last(value: float) -> tuple[bool, float]:
    """Sorts numbers in ascending order, and NaN after them."""
    return math.isnan(value), 0.0 if math.isnan(value) else value


def _reason(case: Case, queue: ReviewQueue, unlike: str) -> str:
    quality = queue.quality(case)
    if case.is_empty:
        reason = "empty mask"
    elif math.isnan(quality):
        reason = f"no {queue.by}"
    else:
        reason = f"{queue.by} {digits(quality, 3)}"
    return f"{reason}; unlike the training images: {unlike}" if unlike else reason
