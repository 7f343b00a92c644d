"""Figures that others published on a data set, each with its protocol and source."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class PublishedFigure:
    """One published result.

    Attributes:
        data_set: short name of the data set.
        method: name of the method, and whose run it was where that matters.
        dice: mean Dice or F1, 0 to 1; None where it is not given, or where nobody has checked what is.
        iou: the same of IoU.
        protocol: how the data were divided, at which size it was scored, and how the model was chosen.
        source: where it stands, in words.
        url: where it stands.
    """

    data_set: str
    method: str
    dice: float | None
    iou: float | None
    protocol: str
    source: str
    url: str


def published_figures(dataset_name: str) -> list[PublishedFigure]:
    """Figures on the data set of this folder name ("Dataset101_GlaS"), in the order of `published.json`.

    A data set is known by a word of its name, whatever its case; [] where nothing is known.
    """
    words = set(re.split(r"[^a-z0-9]+", dataset_name.partition("_")[2].lower()))
    text = files("medt_pipeline.report").joinpath("published.json").read_text(encoding="utf-8")
    return [PublishedFigure(**entry) for entry in json.loads(text) if entry["data_set"].lower() in words]
