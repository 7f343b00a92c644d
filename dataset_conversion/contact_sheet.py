"""One picture by which a person can check a data set: a sample of images with the contours of their labels."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medt_pipeline.core.images import read_image
from medt_pipeline.core.overlays import draw_regions, legend, to_rgb8

from .objects import CaseObjects, FoundObject

SEED = 0
SAMPLE, EXTREMES, COLUMNS = 12, 4, 4
"""Cases by chance, cases with the largest and with the smallest objects, pictures in a row."""

CELL = (480, 360)
"""Greatest width and height of a picture in the sheet."""

MOST_ENLARGED = 8
"""Times that a small picture is enlarged."""

MARGIN, CAPTION, HEADING = 16, 30, 52
"""Pixels around pictures, and heights of the line below a picture and of the one above a section."""

LINE, FRAME, LEAST_SIDE = 2, 8, 20
"""Width of contours, distance of the frame around an object, and side of a square as large as the median object, below
which contours are one pixel wide; all in pixels of the sheet."""

INK, FAINT = (255, 255, 255), (170, 170, 170)

CLOSE_UP = (64, 48)
"""Least width and height, in pixels of the image, of the part that is shown around an object."""

AROUND = 4
"""How many times as wide and high as the object that part is."""


@dataclass(frozen=True, eq=False)
class SheetCase:
    """A case with the files that were written for it, and its objects."""

    name: str
    image: Path
    labels: Path
    instances: Path | None
    objects: CaseObjects


@dataclass(frozen=True, eq=False)
class _Cell:
    picture: Image.Image
    caption: str


def draw_contact_sheet(title: str, cases: Sequence[SheetCase], names: Mapping[int, str]) -> np.ndarray:
    """Draw up to twelve cases by chance, and the four with the largest and the four with the smallest objects.

    The same cases give the same picture.

    Args:
        title: name of the data set.
        cases: all that have labels, in a fixed order.
        names: class name by label; label 0 is the background.

    Returns:
        (H, W, 3) uint8, about 2,000 pixels wide.
    """
    chosen = sorted(random.Random(SEED).sample(range(len(cases)), min(SAMPLE, len(cases))))
    large = [(case, case.objects.largest) for case in cases if case.objects.largest is not None]
    small = [(case, case.objects.smallest) for case in cases if case.objects.smallest is not None]
    large.sort(key=lambda one: -one[1].area)
    small.sort(key=lambda one: one[1].area)
    sections = {
        f"{len(chosen)} of {len(cases)} cases, by chance": [_overview(cases[place]) for place in chosen],
        "The largest objects": [_close_up(case, one, names) for case, one in large[:EXTREMES]],
        "The smallest objects": [_close_up(case, one, names) for case, one in small[:EXTREMES]],
    }
    return _compose(title, {heading: cells for heading, cells in sections.items() if cells}, dict(names))


def _overview(case: SheetCase) -> _Cell:
    """The whole image."""
    picture, labels, objects = _read(case)
    height, width = labels.shape
    areas = np.concatenate([np.zeros(0), *case.objects.areas.values()])
    side = math.sqrt(np.median(areas)) * _scale(labels.shape) if areas.size else math.inf
    line = LINE if side >= LEAST_SIDE else 1
    # × is not in the font
    return _Cell(_draw(picture, labels, objects, line), f"{case.name}: {width} x {height}")


def _close_up(case: SheetCase, one: FoundObject, names: Mapping[int, str]) -> _Cell:
    """The part of the image around `one`, framed and named; for a large object that is the whole image."""
    picture, labels, objects = _read(case)
    rows, columns = part = _part_around(one.box, labels.shape)
    top, left, bottom, right = one.box
    box = (top - rows.start, left - columns.start, bottom - rows.start, right - columns.start)
    drawn = _draw(picture[part], labels[part], None if objects is None else objects[part], LINE)
    _frame(drawn, box, _scale(labels[part].shape))
    return _Cell(drawn, f"{case.name}: {_tell(one, names)}")


def _tell(one: FoundObject, names: Mapping[int, str]) -> str:
    return f"{names[one.label]}, {one.area:,} pixel{'s' if one.area > 1 else ''}"


def _read(case: SheetCase) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    objects = None if case.instances is None else read_image(case.instances)
    return to_rgb8(read_image(case.image)), read_image(case.labels), objects


def _part_around(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns around an object, moved into the image where they would leave it."""
    parts = []
    for first, last, size, least in zip(box[:2], box[2:], shape, reversed(CLOSE_UP), strict=True):
        side = min(size, max(least, AROUND * (last - first + 1)))
        start = min(max(0, (first + last + 1 - side) // 2), size - side)
        parts.append(slice(start, start + side))
    return parts[0], parts[1]


def _scale(shape: tuple[int, ...]) -> float:
    """Pixels of the sheet a pixel of an image, or of a part of one, of this shape."""
    return min(CELL[0] / shape[1], CELL[1] / shape[0], MOST_ENLARGED)


def _draw(picture: np.ndarray, labels: np.ndarray, objects: np.ndarray | None, line: int) -> Image.Image:
    """The picture with contours, at the size at which it stands in the sheet, so that lines are equally wide in all."""
    height, width = (max(1, round(side * _scale(labels.shape))) for side in labels.shape)
    shown = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    numbers = None if objects is None else _nearest(objects, (width, height))
    return Image.fromarray(draw_regions(np.array(shown), _nearest(labels, (width, height)), line, numbers))


def _frame(drawn: Image.Image, box: tuple[int, int, int, int], scale: float) -> None:
    """Draw a frame a little away from `box`, but inside the picture."""
    top, left, bottom, right = box
    width, height = drawn.size
    corners = (
        max(0, left * scale - FRAME),
        max(0, top * scale - FRAME),
        min(width - 1, (right + 1) * scale + FRAME),
        min(height - 1, (bottom + 1) * scale + FRAME),
    )
    ImageDraw.Draw(drawn).rectangle(corners, outline=INK)


def _nearest(numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.array(Image.fromarray(numbers.astype(np.int32)).resize(size, Image.Resampling.NEAREST))


def _compose(title: str, sections: Mapping[str, Sequence[_Cell]], names: dict[int, str]) -> np.ndarray:
    """Put all on one dark sheet: title, legend, and each section with its heading and its rows."""
    width = MARGIN + COLUMNS * (CELL[0] + MARGIN)
    explained = Image.fromarray(legend(width - 2 * MARGIN, 6, names, False))
    rows = {
        heading: [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
        for heading, cells in sections.items()
    }
    heights = [max(cell.picture.height for cell in row) + CAPTION + MARGIN for some in rows.values() for row in some]
    height = HEADING + explained.height + len(sections) * HEADING + sum(heights) + MARGIN
    sheet = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, HEADING), title, INK, ImageFont.load_default(32), anchor="ld")
    sheet.paste(explained, (MARGIN, HEADING))
    top = HEADING + explained.height
    for heading, of_section in rows.items():
        pen.text((MARGIN, top + HEADING - 10), heading, INK, ImageFont.load_default(24), anchor="ld")
        top += HEADING
        for row in of_section:
            _paste_row(sheet, pen, row, top)
            top += heights.pop(0)
    return np.array(sheet)


def _paste_row(sheet: Image.Image, pen: ImageDraw.ImageDraw, row: Sequence[_Cell], top: int) -> None:
    font = ImageFont.load_default(18)
    bottom = top + max(cell.picture.height for cell in row)
    for place, cell in enumerate(row):
        left = MARGIN + place * (CELL[0] + MARGIN)
        sheet.paste(cell.picture, (left + (CELL[0] - cell.picture.width) // 2, bottom - cell.picture.height))
        caption = cell.caption
        while font.getlength(caption) > CELL[0]:
            caption = caption[:-2] + "…"
        pen.text((left + CELL[0] // 2, bottom + 6), caption, FAINT, font, anchor="ma")
