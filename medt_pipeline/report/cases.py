"""The cases of a report, and in which order they are looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.core.images import IMAGE_ENDINGS
from medt_pipeline.core.spreadsheets import text_of
from medt_pipeline.evaluation.metrics import Counts
from medt_pipeline.evaluation.scores import Scores
from medt_pipeline.evaluation.selection import mean_of_classes
from medt_pipeline.report.estimates import number_of

SHOWN_FIRST = 3
"""Cases of each kind (worst, median, best) that are shown without being asked for."""


@dataclass(frozen=True)
class LabelScores:
    """One class in one image.

    Attributes:
        scores: those that were taken; NaN where they are undefined.
        kind: "both", "neither", "false alarm" or "miss", as `evaluation.metrics` says.
        counts: pixels.
    """

    scores: Scores
    kind: str
    counts: Counts


@dataclass(frozen=True)
class ScoreFile:
    """Scores of a folder of masks: by case and class, the unit of distances, and the tolerance of the surface Dice."""

    by_case: Mapping[str, Mapping[str, LabelScores]] = field(default_factory=dict)
    unit: str = "px"
    tolerance: str = ""


@dataclass(frozen=True)
class Region:
    """One class in one mask: its share of the pixels, 0 to 1, and the number of its connected parts."""

    share: float
    parts: int


@dataclass(frozen=True)
class Case:
    """One image with what is known of it.

    Attributes:
        name: of the case.
        prediction: its mask.
        image: None where it was not found.
        truth: None without ground truth.
        uncertainty: 8-bit map, 255 where most uncertain; None where there is none.
        group: patient or other unit; None where it is not known.
        resampled_with: group that intervals draw as one: the patient with near-duplicates of other patients.
        fold: that held the case out; None where no fold did.
        scores: by class; {} without ground truth.
        regions: of the mask by class; {} where they are not measured.
        estimated_dice: by the probabilities; NaN where it is not estimated.
        mean_uncertainty: over the pixels, 0 to 1; NaN without a map.
        certainty: of the mask, 0 to 1, as `review_queue.certainty` has it; NaN where it is not measured.
        rank: its place in a review queue, from 1; None outside of one.
        reason: why it has that rank; "" outside of a queue.
        to_open: link to the mask from where the page lies; "" where there is none.
    """

    name: str
    prediction: Path
    image: Path | None = None
    truth: Path | None = None
    uncertainty: Path | None = None
    group: str | None = None
    resampled_with: str = ""
    fold: int | None = None
    scores: Mapping[str, LabelScores] = field(default_factory=dict)
    regions: Mapping[str, Region] = field(default_factory=dict)
    estimated_dice: float = math.nan
    mean_uncertainty: float = math.nan
    certainty: float = math.nan
    rank: int | None = None
    reason: str = ""
    to_open: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the mask shows no class; True where its regions are not measured."""
        return all(one.parts == 0 for one in self.regions.values())

    @property
    def dice(self) -> float:
        """Mean over the classes whose Dice is defined; NaN where none is."""
        return float(mean_of_classes(np.array([one.scores.dice for one in self.scores.values()])))

    @property
    def iou(self) -> float:
        """The same of IoU."""
        return float(mean_of_classes(np.array([one.scores.iou for one in self.scores.values()])))

    @property
    def remarks(self) -> list[str]:
        """Classes that were missed or falsely found: "gland: miss"."""
        return [f"{label}: {one.kind}" for label, one in self.scores.items() if one.kind in ("miss", "false alarm")]


@dataclass(frozen=True)
class Order:
    """Cases in the order in which they are looked at.

    Attributes:
        by: by what they are ordered, as a phrase.
        cases: the first wants most attention.
        marks: the cases that are shown first, with a word for each, such as "worst", "median" or "best"; "" for none.
    """

    by: str
    cases: tuple[Case, ...]
    marks: Mapping[str, str]


def read_scores(file: Path) -> ScoreFile:
    """Read a medt_scores.json.

    Raises:
        UserError: it is missing or has another form.
    """
    content = read_json(file)
    found: dict[str, dict[str, LabelScores]] = {}
    try:
        for row in content["images"]:
            taken = {key: number_of(row[key]) for key in Scores._fields if key in row}
            counts = Counts(*(int(row[key]) for key in Counts._fields))
            found.setdefault(row["image"], {})[row["label"]] = LabelScores(Scores(**taken), str(row["case"]), counts)
        return ScoreFile(found, str(content.get("distance_unit", "px")), str(content.get("surface_dice_tolerance", "")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{file} does not hold scores ({type(error).__name__}: {error}); score again with medt_evaluate."
        ) from None


def read_quality(file: Path) -> dict[str, float]:
    """Estimated Dice by case from a medt_quality.csv; {} where there is none.

    Raises:
        UserError: it is no such table.
    """
    if not file.exists():
        return {}
    try:
        table = pd.read_csv(file, dtype={"image": str})
        rows = zip(table["image"], table["estimated_dice"].astype(float), strict=True)
        # medt_predict names the images as the files that it was given.
        return {_without_ending(text_of(name)): value for name, value in rows}
    except (KeyError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not a table of estimated Dice ({error}); delete it or restore it.") from None


def in_order(cases: Sequence[Case]) -> Order:
    """Order cases by Dice where it is known, else by its estimate, else by uncertainty, else by name."""
    named = sorted(cases, key=lambda case: case.name)
    keys = {
        "Dice": ([case.dice for case in named], ("worst", "median", "best")),
        "estimated Dice": ([case.estimated_dice for case in named], ("lowest", "median", "highest")),
        "uncertainty": ([-case.mean_uncertainty for case in named], ("most uncertain", "median", "least uncertain")),
    }
    for by, (values, words) in keys.items():
        known = [index for index in np.argsort(values, kind="stable").tolist() if not math.isnan(values[index])]
        if known:
            first = tuple(named[index] for index in known)
            rest = tuple(case for case, value in zip(named, values, strict=True) if math.isnan(value))
            return Order(by, first + rest, _marked([case.name for case in first], words))
    return Order("name", tuple(named), {case.name: "" for case in named[: 3 * SHOWN_FIRST]})


def _marked(names: Sequence[str], words: tuple[str, str, str]) -> dict[str, str]:
    """The first, the middle and the last few of `names`, which never overlap, with a word for each."""
    each = min(SHOWN_FIRST, math.ceil(len(names) / 3))
    worst, rest = names[:each], names[each:]
    best = rest[max(0, len(rest) - each) :][::-1]
    rest = rest[: len(rest) - len(best)]
    start = max(0, (len(rest) - each) // 2)
    middle = rest[start : start + each]
    groups = zip(words, (worst, middle, best), strict=True)
    return {name: word for word, group in groups for name in group}


def _without_ending(name: str) -> str:
    return name[: name.rindex(".")] if name.lower().endswith(IMAGE_ENDINGS) else name
