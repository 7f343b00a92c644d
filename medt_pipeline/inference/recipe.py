"""inference.json: which models predict, with which weights, and what is done to their masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medt_pipeline.core.clip_frames import MOST_FRAMES
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.evaluation.quality import Quality
from medt_pipeline.postprocessing.recipe import PostProcessing, object_map
from medt_pipeline.postprocessing.recipe import read_recipe as read_postprocessing

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
    folds: tuple[int | Literal["all"], ...]
    weight: float


@dataclass(frozen=True)
class Recipe:
    """How a data set's models predict.

    Attributes:
        members: at least one.
        postprocessing: what is done to masks.
        quality: estimates the Dice of a mask; None where too few cases were known.
        smooth_frames: frames of a clip over which probabilities are averaged, odd; 1 averages nothing.
    """

    members: tuple[Member, ...]
    postprocessing: PostProcessing
    quality: Quality | None
    smooth_frames: int = 1

    def to_json(self) -> dict[str, Any]:
        """What `read_recipe` reads."""
        members = [{**vars(one), "folds": list(one.folds)} for one in self.members]
        return {
            "members": members,
            "postprocessing": self.postprocessing.to_json(),
            "quality": None if self.quality is None else vars(self.quality),
            "smooth_frames": self.smooth_frames,
        }


def objects_of(recipe: PostProcessing, labels: np.ndarray, classes: int) -> np.ndarray:
    """Instance map (H, W), uint16, of all classes but the background of a mask that is post-processed.

    Raises:
        UserError: there are more objects than the format holds.
    """
    objects = object_map(recipe, labels, range(1, classes))
    most = np.iinfo(np.uint16).max
    if objects.max() > most:
        raise UserError(f"The mask holds {objects.max()} objects, more than the {most} of an instance map.")
    return objects.astype(np.uint16)


def read_recipe(folder: Path) -> Recipe:
    """Read inference.json in `folder`, the results of a data set.

    Raises:
        UserError: it is missing, of a newer format, or not what medt_find_best writes.
    """
    file = folder / RECIPE_FILE
    return recipe_of(read_json(file), str(file), "run medt_find_best again")


def recipe_of(content: Any, source: str, advice: str) -> Recipe:
    """Check and read the content of an inference.json, from anywhere.

    Args:
        content: parsed JSON.
        source: its name for messages.
        advice: what to do where it cannot be used.

    Raises:
        UserError: it is of a newer format, or not what `Recipe.to_json` writes.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{source} is not a recipe of format {FORMAT}; {advice}.")
    try:
        members = tuple(
            Member(str(one["model"]), str(one["configuration"]), tuple(map(_fold, one["folds"])), float(one["weight"]))
            for one in content["members"]
        )
        quality = _quality(content["quality"]) if content["quality"] is not None else None
        postprocessing = read_postprocessing(content["postprocessing"], source)
        # Recipes from before there was a choice average nothing.
        smooth_frames = _window(content.get("smooth_frames", 1))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{source} is not a recipe ({type(error).__name__}: {error}); {advice}.") from None
    if not members or any(Path(one.model).name != one.model or one.model.startswith(".") for one in members):
        raise UserError(f"{source} names no model, or one outside of its folder; {advice}.")
    return Recipe(members, postprocessing, quality, smooth_frames)


def _fold(value: Any) -> int | Literal["all"]:
    return "all" if value == "all" else int(value)


def _window(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value % 2 == 0 or not 1 <= value <= MOST_FRAMES:
        raise ValueError(f"smooth_frames {value!r}")
    return value


def _quality(content: dict[str, Any]) -> Quality:
    wrong = [name for name, value in content.items() if isinstance(value, bool) or not isinstance(value, (int, float))]
    if wrong:
        raise ValueError(f"{wrong[0]} must be a number")
    return Quality(**content)
