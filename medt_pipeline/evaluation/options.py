"""What shall be scored, and by which measures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medt_pipeline.core.errors import UserError

Unit = Literal["px", "mm"]


@dataclass(frozen=True)
class Tolerance:
    """How far two outlines may lie apart and still agree.

    Attributes:
        value: 0 or more.
        unit: "px" is turned into mm by the mean size of a pixel where distances are in mm.
    """

    value: float = 2.0
    unit: Unit = "px"

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


@dataclass(frozen=True)
class EvaluationOptions:
    """How to score a folder.

    Attributes:
        surface: score distances between outlines.
        tolerance: of the surface Dice.
        instances: "auto" scores objects where every reference has an instance map (in the folder `instances…` beside
            `labels…`); "components" takes the 8-connected components of the reference for objects; "none" scores none;
            a path is a folder of instance maps.
        predicted_instances: folder of predicted instance maps; None: the folder `instances` among the predictions where
            there is one, else the 8-connected components of each predicted class.
        groups: patient by name of the image; None: those of medt_cases.json, else every image is its own.
        pixel_size_mm: height and width of a pixel of every image; None: those of medt_cases.json or of the file.
        published_size: also score as the scripts published with MedT do, resized to this height and width.
        threads: images scored at once; None: as many as there are processors.
    """

    surface: bool = True
    tolerance: Tolerance = Tolerance()
    instances: Literal["auto", "components", "none"] | Path = "auto"
    predicted_instances: Path | None = None
    groups: Mapping[str, str] | None = None
    pixel_size_mm: tuple[float, float] | None = None
    published_size: int | None = None
    threads: int | None = None


DEFAULT = EvaluationOptions()


def parse_tolerance(text: str) -> Tolerance:
    """Read "2px" or "0.5 mm".

    Raises:
        UserError: it is neither.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(px|mm)\s*", text)
    if match is None:
        raise UserError(f"The tolerance must be a number with its unit, as 2px or 0.5mm, got {text!r}.")
    return Tolerance(float(match[1]), "px" if match[2] == "px" else "mm")


def parse_pixel_size(text: str) -> tuple[float, float]:
    """Read "0.1" or "0.1,0.2": millimetres, of the height and the width of a pixel.

    Raises:
        UserError: it is neither.
    """
    try:
        sizes = [float(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2) or not all(math.isfinite(size) and size > 0 for size in sizes):
        raise UserError(f"The pixel size must be one or two numbers above 0 in mm, as 0.1 or 0.1,0.2, got {text!r}.")
    return sizes[0], sizes[-1]
