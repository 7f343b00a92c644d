"""DICOM segmentations: which of their frames mark which segment in which frame of which clip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.multival import MultiValue

from medt_pipeline.core.dicom.frames import read_clip, read_stored_frame
from medt_pipeline.core.dicom.header import items, read_header
from medt_pipeline.core.errors import UserError

from ..label_mapping import BACKGROUND
from ..masks import ReadMask
from ..problems import count

Place = tuple[str, "int | None"]
"""SOP Instance UID of a clip and the index of a frame in it, from 0; None where the segmentation names no frame."""

MOST_CLASSES = 254
_LONGEST_LABEL = 64
_KEYWORDS = (
    "SegmentSequence",
    "SegmentationType",
    "MaximumFractionalValue",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ReferencedSeriesSequence",
)


@dataclass(frozen=True)
class Mark:
    """One frame of a segmentation.

    Attributes:
        index: of the frame, from 0.
        labels: by number the labels of the segments that it marks.
        least: of a frame that marks one segment, the value from which on a pixel counts as marked; None where pixels
            hold the numbers of segments.
    """

    path: Path
    index: int
    labels: Mapping[int, str]
    least: int | None


@dataclass(frozen=True)
class SegmentMask:
    """The segments that mark one frame of a clip, as numbers of classes: a `MaskSource`.

    Attributes:
        classes: number of each label, see `number_classes`.
    """

    marks: tuple[Mark, ...]
    classes: Mapping[str, int]

    @property
    def files(self) -> tuple[Path, ...]:
        """The segmentations that take part."""
        return tuple(dict.fromkeys(mark.path for mark in self.marks))

    def read(self, size: tuple[int, int]) -> ReadMask:
        """(H, W) uint8 numbers of classes; where several mark a pixel, the highest number counts.

        Raises:
            UserError: a segmentation cannot be read, or its frames are not of `size`.
        """
        values = np.zeros(size, np.uint8)
        several = np.zeros(size, bool)
        for mark in self.marks:
            stored = read_stored_frame(mark.path, mark.index)
            if stored.shape != size:
                height, width = stored.shape[:2]
                raise UserError(f"{mark.path} marks {width}×{height} pixels, but its clip has {size[1]}×{size[0]}.")
            for value, label in mark.labels.items():
                number = self.classes[label]
                marked = stored == value if mark.least is None else stored >= mark.least
                several |= marked & (values != 0) & (values != number)
                values[marked] = np.maximum(values[marked], number)
        return ReadMask(values, repairs=self._repairs(int(several.sum())))

    def _repairs(self, overlapping: int) -> tuple[str, ...]:
        repairs = []
        if overlapping:
            repairs.append(f"{count(overlapping, 'pixel')} of several segments given to the one that comes last")
        if any(mark.least is not None and mark.least > 1 for mark in self.marks):
            repairs.append("shares of a pixel count as marked from one half on")
        return tuple(repairs)


def read_marks(path: Path) -> dict[Place, list[Mark]]:
    """What a DICOM segmentation marks where.

    Raises:
        UserError: it cannot be read, or does not tell what its frames mark.
    """
    header, frames = read_header(path, _KEYWORDS), read_clip(path).frames
    groups = items(header, "PerFrameFunctionalGroupsSequence")
    if len(groups) != frames:
        raise UserError(f"{path} describes {len(groups)} of its {count(frames, 'frame')}; export it again.")
    shared = _first(header, "SharedFunctionalGroupsSequence")
    labels = _labels(header, path)
    marks: dict[Place, list[Mark]] = defaultdict(list)
    for index, group in enumerate(groups):
        mark = _mark(path, index, header, labels, (group, shared))
        for place in _places(group, shared) or _only_place(header, frames, path):
            marks[place].append(mark)
    return marks


def number_classes(marks: Iterable[Mark]) -> dict[str, int]:
    """Number the labels 1, 2, … in the order of their segments' lowest numbers, then of the alphabet.

    Upper and lower case count as the same, in the first spelling of that order; "background" is 0.

    Raises:
        UserError: more than 254, or one that nnU-Net keeps for itself.
    """
    lowest: dict[str, int] = {}
    for mark in marks:
        for number, label in mark.labels.items():
            lowest[label] = min(number, lowest.get(label, number))
    classes: dict[str, int] = {BACKGROUND: 0}
    for label in sorted(lowest, key=lambda label: (lowest[label], label.casefold(), label)):
        known = {one.casefold(): number for one, number in classes.items()}
        classes[label] = known.get(label.casefold(), max(known.values()) + 1)
    if any(label.casefold() == "ignore" for label in classes):
        raise UserError("A segment is called 'ignore', which nnU-Net keeps for pixels without truth; rename it.")
    if max(classes.values()) > MOST_CLASSES:
        raise UserError(f"The segmentations hold {max(classes.values())} labels; at most {MOST_CLASSES} can be kept.")
    return classes


def _mark(path: Path, index: int, header: Dataset, labels: Mapping[int, str], groups: tuple[Dataset, Dataset]) -> Mark:
    kind = header.get("SegmentationType")
    if kind == "LABELMAP":
        return Mark(path, index, labels, None)
    numbers = [_first(group, "SegmentIdentificationSequence").get("ReferencedSegmentNumber") for group in groups]
    number = next((number for number in numbers if isinstance(number, int)), 0)
    if number not in labels:
        raise UserError(f"{path} does not tell which segment its frame {index + 1} marks; export it again.")
    fullest = header.get("MaximumFractionalValue")
    shares = kind == "FRACTIONAL" and isinstance(fullest, int)
    return Mark(path, index, {number: labels[number]}, max(1, (fullest + 1) // 2) if shares else 1)


def _labels(header: Dataset, path: Path) -> dict[int, str]:
    """Label of each segment number, white space made single; 0 is background and marks nothing."""
    labels: dict[int, str] = {}
    for segment in items(header, "SegmentSequence"):
        number = segment.get("SegmentNumber")
        words = "".join(letter if letter.isprintable() else " " for letter in str(segment.get("SegmentLabel") or ""))
        label = " ".join(words.split())
        if not isinstance(number, int) or not label or len(label) > _LONGEST_LABEL or number in labels:
            raise UserError(f"{path} has segments without a number and label of their own; export it again.")
        if number:
            labels[number] = label
    if not labels:
        raise UserError(f"{path} names no segments; export it again.")
    return labels


def _places(*groups: Dataset) -> list[Place]:
    """Where the frame with these functional groups belongs; [] where they do not tell."""
    places: list[Place] = []
    for group in groups:
        for derivation in items(group, "DerivationImageSequence"):
            for source in items(derivation, "SourceImageSequence"):
                instance = str(source.get("ReferencedSOPInstanceUID") or "")
                told = source.get("ReferencedFrameNumber")
                numbers = told if isinstance(told, MultiValue) else [told]
                places += [(instance, number - 1 if isinstance(number, int) else None) for number in numbers]
    return places


def _only_place(header: Dataset, frames: int, path: Path) -> list[Place]:
    """The one instance that the segmentation as a whole refers to, where it has a frame alone."""
    instances = {
        str(instance.get("ReferencedSOPInstanceUID"))
        for series in items(header, "ReferencedSeriesSequence")
        for instance in items(series, "ReferencedInstanceSequence")
    }
    if frames > 1 or len(instances) != 1:
        raise UserError(f"{path} does not tell which frames of which clip it marks; export it with its source images.")
    return [(instances.pop(), None)]


def _first(header: Dataset, keyword: str) -> Dataset:
    return next(iter(items(header, keyword)), Dataset())
