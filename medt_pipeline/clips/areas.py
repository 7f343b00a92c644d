"""How large each class is in each frame of a clip, and how sure the networks are: a table over time."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.files import write_text
from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.core.spreadsheets import plain_cell

_UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class FrameAreas:
    """One frame.

    Attributes:
        index: from 0.
        seconds: since the first frame; None where the clip does not tell.
        pixels: by label, without the background.
        confidence: mean over the pixels of the mask of the probability that they are no background, 0 to 1; None where
            the mask is empty.
    """

    index: int
    seconds: float | None
    pixels: Mapping[int, int]
    confidence: float | None


def measure_frame(
    index: int, seconds: float | None, labels: np.ndarray, probabilities: np.ndarray, names: Mapping[int, str]
) -> FrameAreas:
    """Areas and confidence of a frame.

    Args:
        labels: (H, W) mask.
        probabilities: (classes, H, W); class 0 is the background.
        names: class by label, without the background.
    """
    counts = np.bincount(labels.ravel(), minlength=max(names) + 1)
    inside = labels > 0
    confidence = float(1 - probabilities[0][inside].mean(dtype=np.float64)) if inside.any() else None
    return FrameAreas(index, seconds, {label: int(counts[label]) for label in names}, confidence)


def mm2_per_pixel(size: PixelSize | None) -> float | None:
    """Area of a pixel in square millimetres; None where its size is not known."""
    return None if size is None else size.y_um * size.x_um / _UM2_PER_MM2


def write_areas(file: Path, frames: Sequence[FrameAreas], names: Mapping[int, str], size: PixelSize | None) -> None:
    """Write a row for each frame as CSV; what is not known is an empty cell.

    Columns: frame (from 1), time_s, for each class NAME_px and NAME_mm2, confidence.
    """
    factor = mm2_per_pixel(size)
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    columns = [plain_cell(f"{name}_{unit}") for name in names.values() for unit in ("px", "mm2")]
    table.writerow(["frame", "time_s", *columns, "confidence"])
    for one in frames:
        areas = [
            cell
            for label in names
            for cell in (one.pixels[label], "" if factor is None else f"{one.pixels[label] * factor:.6g}")
        ]
        table.writerow([one.index + 1, _number(one.seconds, 6), *areas, _number(one.confidence, 4)])
    write_text(file, lines.getvalue())


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
