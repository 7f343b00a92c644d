"""inference.json: which models predict, with which weights, and what is done to their masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.evaluation.quality import Quality

RECIPE_FILE = "inference.json"
FORMAT = 1
QUALITY_TABLE = "medt_quality.csv"
"""Estimated Dice of each mask, beside the masks."""


@dataclass(frozen=True)
class Member:
    """A trained configuration in a recipe.

    Attributes:
        model: name of its folder in the results of the data set.
        configuration: its name in the plans.
        folds: whose networks predict.
        weight: of its probabilities; those of all members add up to 1.
    """

    model: str
    configuration: str
    folds: tuple[int, ...]
    weight: float


@dataclass(frozen=True)
class Recipe:
    """How a data set's models predict.

    Attributes:
        members: at least one.
        quality: estimates the Dice of a mask; None where too few cases were known.
    """

    members: tuple[Member, ...]
    quality: Quality | None

    def to_json(self) -> dict[str, Any]:
        """What `read_recipe` reads."""
        members = [{**vars(one), "folds": list(one.folds)} for one in self.members]
        return {"members": members, "quality": None if self.quality is None else vars(self.quality)}


def read_recipe(folder: Path) -> Recipe:
    """Read inference.json in `folder`, the results of a data set.

    Raises:
        UserError: it is missing, of a newer format, or not what medt_find_best writes.
    """
    file = folder / RECIPE_FILE
    content = read_json(file)
    again = "run medt_find_best again"
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{file} is not a recipe of format {FORMAT}; {again}.")
    try:
        members = tuple(
            Member(str(one["model"]), str(one["configuration"]), tuple(map(int, one["folds"])), float(one["weight"]))
            for one in content["members"]
        )
        quality = Quality(**content["quality"]) if content["quality"] is not None else None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} is not a recipe ({type(error).__name__}: {error}); {again}.") from None
    if not members or any(Path(one.model).name != one.model or one.model.startswith(".") for one in members):
        raise UserError(f"{file} names no model, or one outside of its folder; {again}.")
    return Recipe(members, quality)
