"""Several shapes in one picture: which pixel belongs to which class and to which object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medt_pipeline.core.errors import UserError

from ..masks import MOST_OBJECTS
from .shapes import Patch, Shape

LEAST_POINTS = 3
DRAWING_RULE = "a pixel belongs to a shape when its centre lies inside; where shapes overlap, the smaller one keeps it"
"""For the summary."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """The pixels of all shapes of a picture, and what could not be drawn.

    Attributes:
        labels: (H, W) uint8, the label of the class of every pixel; 0 where there is no shape.
        objects: (H, W) uint16, objects with at least one pixel numbered 1, 2, … in the order of the file.
        without_area: shapes of fewer than three points.
        without_pixel: shapes in which no pixel of the picture has its centre, such as those outside of it.
        hidden: objects that smaller ones cover altogether.
        overlapped: objects that gave pixels to smaller ones and kept some; `contested_pixels`: how many pixels.
    """

    labels: np.ndarray
    objects: np.ndarray
    without_area: int = 0
    without_pixel: int = 0
    hidden: int = 0
    overlapped: int = 0
    contested_pixels: int = 0

    @property
    def repairs(self) -> tuple[str, ...]:
        """A sentence on each kind of shape that was left out or cut."""
        lines = (
            (self.without_area, "{} of fewer than three points left out"),
            (self.without_pixel, "{} left out in which no pixel of the picture has its centre"),
            (self.hidden, "{} left out because smaller ones cover all of it"),
            (self.overlapped, f"{{}} overlapped by smaller ones, which keep the {self.contested_pixels} shared pixels"),
        )
        return tuple(text.format(f"{number} shape{'' if number == 1 else 's'}") for number, text in lines if number)


def draw(shapes: Sequence[Shape], classes: Mapping[str, int], size: tuple[int, int]) -> Drawing:
    """Draw the shapes whose class has a label.

    Where objects overlap, the one with the smaller area keeps the pixels, of equal ones the later: a small thing drawn
    on a large one is seen. Parts of one object do not contest each other.

    Args:
        shapes: in the order of the file.
        classes: the label, 0 to 255, of every class that is to be drawn; shapes of label 0 erase and are no objects.
        size: (height, width) of the picture.

    Raises:
        UserError: more than 65535 objects; the sentence names no file.
    """
    drawn = [shape for shape in shapes if shape.name in classes and shape.points >= LEAST_POINTS]
    number_of, areas = _objects(drawn)
    if len(areas) > MOST_OBJECTS:
        raise UserError(f"holds {len(areas)} objects; at most {MOST_OBJECTS} can be kept in one mask")
    canvas = _Canvas(size)
    without_pixel = 0
    # the sort is stable: of equal areas the later shape is drawn later
    for place in sorted(range(len(drawn)), key=lambda place: -areas[number_of[place] - 1]):
        patch = drawn[place].fill(size)
        if patch.inside.any():
            canvas.paint(patch, number_of[place], classes[drawn[place].name])
        else:
            without_pixel += 1
    seen = canvas.seen()
    return Drawing(
        labels=canvas.labels,
        objects=_numbered(canvas.owner, canvas.labels, len(areas)),
        without_area=sum(shape.name in classes for shape in shapes) - len(drawn),
        without_pixel=without_pixel,
        hidden=len(canvas.painted - seen),
        overlapped=len(canvas.overlapped & seen),
        contested_pixels=int(canvas.contested.sum()),
    )


class _Canvas:
    """A picture of labels and of owners (numbers from 1), on which the later object keeps its pixels."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.labels = np.zeros(size, dtype=np.uint8)
        self.owner = np.zeros(size, dtype=np.int32)
        self.contested = np.zeros(size, dtype=bool)
        self.painted: set[int] = set()
        self.overlapped: set[int] = set()

    def paint(self, patch: Patch, number: int, label: int) -> None:
        below = self.owner[patch.window]
        lost = patch.inside & (below != 0) & (below != number)
        self.contested[patch.window] |= lost
        self.overlapped.update(np.unique(below[lost]).tolist())
        self.painted.add(number)
        below[patch.inside] = number
        self.labels[patch.window][patch.inside] = label

    def seen(self) -> set[int]:
        """The objects that still own a pixel."""
        return set(np.unique(self.owner).tolist()) - {0}


def _objects(shapes: Sequence[Shape]) -> tuple[list[int], list[float]]:
    """The number, from 1, of the object of every shape, and the area of every object."""
    first_of: dict[str, int] = {}
    numbers: list[int] = []
    areas: list[float] = []
    for shape in shapes:
        number = len(areas) + 1
        if shape.part_of is not None:
            number = first_of.setdefault(shape.part_of, number)
        if number > len(areas):
            areas.append(0.0)
        areas[number - 1] += shape.area
        numbers.append(number)
    return numbers, areas


def _numbered(owner: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """Numbers without gaps in the same order; none where the label is background."""
    owner = np.where(labels == 0, 0, owner)
    there = np.bincount(owner.ravel(), minlength=most + 1) > 0
    there[0] = False
    return np.where(there, np.cumsum(there), 0).astype(np.uint16)[owner]
