"""Where the mask of a case comes from: a mask picture, or whatever else a converter can turn into pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image, read_mask, read_palette

from .label_mapping import to_values
from .problems import count

MOST_OBJECTS = np.iinfo(np.uint16).max


@dataclass(frozen=True, eq=False)
class ReadMask:
    """A mask in pixels.

    Attributes:
        values: (H, W) integers, or (H, W, 3) uint8 colours; the label mapping (`label_mapping.py`) maps them to labels.
        objects: (H, W) integers of 0 to 65535, the number of the object that a pixel belongs to, 0 for none; None
            where the source knows no objects. Written to instancesTr or instancesTs as they are.
        repairs: sentences on what was mended, such as "2 overlaps of 31 pixels given to the smaller object"; the
            summary shows them after the file's name.
        palette: colour ("#RRGGBB") of the `values` that are indices of a palette.
    """

    values: np.ndarray
    objects: np.ndarray | None = None
    repairs: tuple[str, ...] = ()
    palette: Mapping[int, str] = field(default_factory=dict)


class MaskSource(Protocol):
    """The mask of a case; it is read when its turn comes and may be read again."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that messages and tables name, at least one; the first is "the" mask file."""
        ...

    def read(self, size: tuple[int, int]) -> ReadMask:
        """The mask in pixels, the same at every call; a size that differs from `size` is reported by the caller.

        Args:
            size: (height, width) of the image.

        Raises:
            UserError: the mask cannot be read; the sentence names the file and what to do.
        """
        ...


@dataclass(frozen=True)
class MaskReading:
    """How the values of a mask picture are to be understood.

    Attributes:
        threshold: values above it become 1, all others 0; None leaves the values alone.
        instances: every nonzero value (or colour but black) is one object and becomes 1.
    """

    threshold: int | None = None
    instances: bool = False

    def __post_init__(self) -> None:
        if self.instances and self.threshold is not None:
            raise UserError("--threshold and --instances exclude each other; give the one that fits the masks.")
        if self.threshold is not None and self.threshold < 0:
            raise UserError(f"--threshold must be 0 or more, got {self.threshold}.")

    def explain(self) -> str:
        """What happens to the values before the label rules see them."""
        if self.instances:
            return "every nonzero value is one object and counts as 1"
        if self.threshold is not None:
            return f"values above {self.threshold} count as 1, all others as 0"
        return "as stored"


@dataclass(frozen=True)
class MaskFile:
    """A mask picture as `core.images.read_mask` reads it, understood as `reading` says."""

    path: Path
    reading: MaskReading = MaskReading()

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """The values as stored, cut at the threshold, or 0 and 1 beside the objects' numbers.

        Raises:
            UserError: as for `core.images.read_mask`; a coloured mask under a threshold; too many objects.
        """
        mask = read_mask(self.path)
        if mask.ndim == 3 and mask.max() > np.iinfo(np.uint8).max:
            raise UserError(f"{self.path} holds colours of 16 bits a channel; save the mask with 8 bits a channel.")
        if self.reading.instances:
            objects = number_objects(mask, self.path)
            return ReadMask((objects != 0).astype(np.uint8), objects)
        if self.reading.threshold is not None:
            return ReadMask(self._above_threshold(mask, self.reading.threshold))
        return ReadMask(mask, palette=dict(enumerate(read_palette(self.path) or ())))

    def _above_threshold(self, mask: np.ndarray, threshold: int) -> np.ndarray:
        if mask.ndim == 3:
            raise UserError(
                f"{self.path} is a colour picture, for which a threshold says nothing; "
                "use medt_convert folder and name the colours with --labels name=#RRGGBB,…"
            )
        return (mask > threshold).astype(np.uint8)


def number_objects(mask: np.ndarray, path: Path) -> np.ndarray:
    """Object numbers of an instance mask, (H, W) or (H, W, 3): (H, W) uint16; 0 is no object.

    Numbers are kept where they fit; larger ones and colours are numbered 1, 2, … in ascending order.

    Raises:
        UserError: more than 65535 objects; the sentence names `path`.
    """
    values = to_values(mask, coloured=False)
    if mask.ndim == 3 or values.min() < 0 or values.max() > MOST_OBJECTS:
        objects = np.unique(values[values != 0])
        if len(objects) > MOST_OBJECTS:
            raise UserError(f"{path} holds {len(objects)} objects; at most {MOST_OBJECTS} can be kept in one mask.")
        values = np.where(values == 0, 0, np.searchsorted(objects, values) + 1)
    return values.astype(np.uint16)


@dataclass(frozen=True)
class UnitedMasks:
    """Black-and-white pictures of which each shows one object of the image, such as one lesion.

    Attributes:
        files: the pictures, at least one.
        value: what their pixels become in the united mask; 0 where the pictures must be empty.
    """

    files: tuple[Path, ...]
    value: int = 1

    def read(self, size: tuple[int, int]) -> ReadMask:
        """Unite the pictures; a pixel of several objects goes to the smallest of them.

        Raises:
            UserError: as for `core.images.read_image`; a picture has another size, more than two colours, or no black;
                one that must be empty is not.
        """
        regions = {number: _foreground(file, size) for number, file in enumerate(self.files, start=1)}
        for number, region in regions.items():
            if not self.value and region.any():
                raise UserError(f"{self.files[number - 1]} shows an object, but its image is said to have none.")
        objects = np.zeros(size, np.uint16)
        for number in sorted(regions, key=lambda number: -int(regions[number].sum())):
            objects[regions[number]] = number
        shared = int((np.sum(list(regions.values()), axis=0) > 1).sum())
        repairs = (f"{count(shared, 'pixel')} in several of its masks given to the smallest object",) if shared else ()
        return ReadMask(np.where(objects, self.value, 0).astype(np.uint8), objects, repairs)


def _foreground(file: Path, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: where a picture of black and one other colour is not black."""
    picture = read_image(file)
    if picture.shape[:2] != size:
        height, width = picture.shape[:2]
        raise UserError(
            f"{file} has {width}×{height} pixels, but its image {size[1]}×{size[0]}; they must have the same size."
        )
    values = to_values(picture, coloured=False)
    found = np.unique(values)
    if len(found) > 2 or (len(found) == 2 and found[0] != 0):
        raise UserError(
            f"{file} holds {len(found)} gray levels or colours, but a mask of black and one other was expected; "
            "replace it by the released file."
        )
    return values != 0
