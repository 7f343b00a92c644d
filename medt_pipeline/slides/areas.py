"""How much of a slide each class covers, and in how many objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medt_pipeline.core.files import write_text
from medt_pipeline.core.spreadsheets import to_csv
from medt_pipeline.slides.objects import Objects

AREAS_TABLE = "medt_slide_areas.csv"
_UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class ClassArea:
    """One class on one slide.

    Attributes:
        name: of the class.
        objects: number of objects, as in the GeoJSON.
        pixels: of the label image.
        area_mm2: None where the size of a pixel is not known.
        share_of_tissue: of the tissue's pixels, 0 to 1.
    """

    name: str
    objects: int
    pixels: int
    area_mm2: float | None
    share_of_tissue: float


def measure_areas(
    objects: Objects, names: Mapping[int, str], microns_per_pixel: float | None, tissue_pixels: float
) -> list[ClassArea]:
    """Areas by class, in the order of the labels.

    Args:
        names: class by label, without the background.
        microns_per_pixel: side of a pixel of the label image.
        tissue_pixels: area of the tissue in such pixels.
    """
    counts = np.bincount(objects.classes, minlength=max(names, default=0) + 1)
    pixels = np.bincount(objects.classes, objects.areas, minlength=max(names, default=0) + 1)
    factor = None if microns_per_pixel is None else microns_per_pixel**2 / _UM2_PER_MM2
    return [
        ClassArea(
            name,
            int(counts[label]),
            int(pixels[label]),
            None if factor is None else float(pixels[label]) * factor,
            float(pixels[label] / tissue_pixels) if tissue_pixels else 0.0,
        )
        for label, name in names.items()
    ]


def write_areas(folder: Path, slides: Mapping[str, Sequence[ClassArea]]) -> Path:
    """Write a row for every slide and class as CSV."""
    rows = [{"slide": slide, **vars(area)} for slide, areas in slides.items() for area in areas]
    columns = ["slide", *ClassArea.__dataclass_fields__]
    frame = pd.DataFrame(rows, columns=columns).rename(columns={"name": "class"})
    write_text(folder / AREAS_TABLE, to_csv(frame, "%.6g"))
    return folder / AREAS_TABLE
