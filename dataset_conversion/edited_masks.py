"""Masks as editors save them: turned by their header, numbered by their segments, in the values of any program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import ending_of, read_mask
from medt_pipeline.core.nrrd import read_nrrd_header
from medt_pipeline.core.slices import Grid, read_grid

from .masks import MaskFile, ReadMask
from .problems import some

Turn = tuple[bool, bool]
"""Whether rows are to be turned upside down, and columns left to right."""
AS_STORED: Turn = (False, False)
_TURNS: tuple[Turn, ...] = (AS_STORED, (False, True), (True, False), (True, True))
_CLEARLY = 0.3
"""Dice by which another turn must agree better with the prediction."""


@dataclass(frozen=True)
class EditedMask:
    """A mask picture that came out of an editor.

    Attributes:
        path: the mask; `image`: the image that was opened in the editor, or from which its image was made.
        labels: value by class name, with which segments of 3D Slicer are looked up.
        prediction: the mask that was corrected, which shows whether a turned one fits; None where it is not known.
    """

    path: Path
    image: Path
    labels: Mapping[str, int]
    prediction: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The mask."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """The pixels in the order of the image's, segments of known names as the labels of these names.

        Raises:
            UserError: as for `MaskFile.read`; some segments are named as classes and others not; the header places the
                mask elsewhere, and it fits the prediction clearly better when it is turned.
        """
        read = MaskFile(self.path).read(size)
        values = self._by_segment(read.values)
        turn = turn_of(read_grid(self.path), read_grid(self.image), size)
        if turn is None:
            self._require_upright(values)
            note = "its header places it elsewhere than the image, so its pixels are taken as stored: look at them"
            return replace(read, values=values, repairs=(*read.repairs, note))
        notes = () if turn == AS_STORED else ("turned to the image, as its header says",)
        return replace(read, values=np.flip(values, _axes(turn)), repairs=(*read.repairs, *notes))

    def _by_segment(self, values: np.ndarray) -> np.ndarray:
        """Values of named segments as labels, where the names are those of classes."""
        names = _segments(self.path)
        unknown = sorted(name for name in names.values() if name not in self.labels)
        if not names or len(unknown) == len(names):
            # Slicer calls imported segments Segment_1 and keeps their values.
            return values
        if unknown:
            raise UserError(
                f"{self.path} holds segments named as classes and others ({some(unknown)}); name all as the data set "
                f"does: {', '.join(self.labels)}."
            )
        mapped = values.astype(np.int64)
        for value, name in names.items():
            mapped[values == value] = self.labels[name]
        return mapped

    def _require_upright(self, values: np.ndarray) -> None:
        if self.prediction is None or values.ndim != 2:
            return
        predicted = read_mask(self.prediction)
        if predicted.shape != values.shape:
            return
        agreement = {turn: _agreement(np.flip(values, _axes(turn)), predicted) for turn in _TURNS}
        best = max(agreement, key=lambda turn: agreement[turn])
        if agreement[best] > agreement[AS_STORED] + _CLEARLY:
            raise UserError(
                f"{self.path} is placed elsewhere than its image by its header, and fits the predicted mask when it is "
                f"turned (Dice {agreement[best]:.2f} instead of {agreement[AS_STORED]:.2f}); save it with the image's "
                "geometry, or as png."
            )


def turn_of(mask: Grid | None, image: Grid | None, size: tuple[int, int]) -> Turn | None:
    """How pixels of a mask are turned so that they lie on those of its image; None where no turn brings them there.

    Args:
        mask: None where its file tells no place: then nothing is turned.
        image: None for a picture, which ITK, and so ITK-SNAP and 3D Slicer, places at the origin with its columns along
            x and its rows along y.
        size: (height, width).
    """
    if mask is None:
        return AS_STORED
    if image is None:
        right, down = (float(np.linalg.norm(step)) for step in mask.steps)
        image = Grid((0.0, 0.0, 0.0), ((right, 0.0, 0.0), (0.0, down, 0.0)))
    for upside_down, left_to_right in _TURNS:
        along_row, along_column = np.asarray(image.steps)
        first = np.asarray(image.first)
        if left_to_right:
            first, along_row = first + (size[1] - 1) * along_row, -along_row
        if upside_down:
            first, along_column = first + (size[0] - 1) * along_column, -along_column
        if mask.is_close(Grid(tuple(first), (tuple(along_row), tuple(along_column)))):
            return upside_down, left_to_right
    return None


def _axes(turn: Turn) -> tuple[int, ...]:
    return tuple(axis for axis, is_turned in enumerate(turn) if is_turned)


def _segments(path: Path) -> dict[int, str]:
    """Names of segments by value, in a segmentation of 3D Slicer; {} in other files."""
    if ending_of(path) != ".nrrd":
        return {}
    notes = read_nrrd_header(path).notes
    names = {}
    number = 0
    while f"Segment{number}_Name" in notes:
        value = notes.get(f"Segment{number}_LabelValue", str(number + 1))
        if not value.isdecimal():
            raise UserError(f"{path} gives a segment the value {value[:20]!r}, which is no number; save it again.")
        names[int(value)] = notes[f"Segment{number}_Name"]
        number += 1
    return names


def _agreement(mask: np.ndarray, other: np.ndarray) -> float:
    """Dice of the foregrounds; 1 where both are empty."""
    one, two = mask > 0, other > 0
    both = int(one.sum()) + int(two.sum())
    return 2 * int((one & two).sum()) / both if both else 1.0
