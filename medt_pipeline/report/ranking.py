"""What medt_find_best wrote, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.evaluation.postprocessing_learning import Trial
from medt_pipeline.evaluation.quality import Quality
from medt_pipeline.inference.recipe import RECIPE_FILE, Member, read_recipe
from medt_pipeline.report.estimates import Estimate, number_of


@dataclass(frozen=True)
class RankedRow:
    """One candidate: its mean Dice, how far it lies behind the best, and its seconds an image."""

    name: str
    dice: Estimate
    behind: Estimate
    seconds: float
    chosen: bool


@dataclass(frozen=True)
class Selection:
    """The selected recipe and the candidates that it was selected from.

    Attributes:
        members: of the recipe.
        weights: "equal" or "learned".
        weights_gain: what learned weights gain on cases that they were not learned from; None for a single model.
        quality: of the estimated Dice; None where it could not be calibrated.
        ranking: best first.
        rule: by which one was taken.
        trials: steps of post-processing that were tried, with what they gained.
        environment: of the run.
    """

    members: tuple[Member, ...]
    weights: str
    weights_gain: Estimate | None
    quality: Quality | None
    ranking: tuple[RankedRow, ...]
    rule: str
    trials: tuple[Trial, ...]
    environment: Mapping[str, Any]


def read_selection(results: Path) -> Selection | None:
    """Read inference.json in `results`, the results of a data set; None where there is none.

    Raises:
        UserError: it is not what medt_find_best writes.
    """
    file = results / RECIPE_FILE
    if not file.exists():
        return None
    recipe, content = read_recipe(results), read_json(file)
    configurations = [one.configuration for one in recipe.members]
    try:
        return Selection(
            recipe.members,
            str(content["weights"]),
            Estimate.from_json(content["weights_gain"]) if content.get("weights_gain") else None,
            recipe.quality,
            tuple(_row(entry, configurations) for entry in content["ranking"]),
            str(content["rule"]),
            tuple(_trial(entry) for entry in content["postprocessing_trials"]),
            dict(content.get("environment") or {}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{file} lacks what a report shows ({type(error).__name__}: {error}); run medt_find_best again."
        ) from None


def _trial(entry: Mapping[str, Any]) -> Trial:
    numbers = {key: number_of(entry[key]) for key in ("gain", "low")}
    return Trial(str(entry["label"]), str(entry["step"]), taken=bool(entry["taken"]), **numbers)


def _row(entry: Mapping[str, Any], chosen: list[str]) -> RankedRow:
    return RankedRow(
        str(entry["name"]),
        Estimate.from_json(entry["mean_dice"]),
        Estimate.from_json(entry["behind_best"]),
        number_of(entry.get("seconds_per_image")),
        list(entry["members"]) == chosen,
    )
