"""The masks of all clips of a source: from DICOM segmentations, or from pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.dicom.header import is_dicom, read_header
from medt_pipeline.core.dicom.identity import IDENTITY_KEYWORDS, hide, identifying_words
from medt_pipeline.core.errors import UserError

from ..label_mapping import DeclaredLabel, parse_labels
from ..masks import MaskReading, MaskSource
from ..problems import Problems
from .files import SEGMENTATION_CLASSES, Found, FoundClip, files_below
from .masks import is_mask_file, match_masks
from .segmentation import Mark, Place, SegmentMask, number_classes, read_marks


@dataclass(frozen=True)
class Labels:
    """What is marked.

    Attributes:
        masks: by SOP Instance UID of the clip and index of the frame.
        declared: what the values of the masks mean, () where the label rules are to find out.
        reading: a sentence on how masks were understood.
        alone: masks that belong to no clip of the source; pictures beside the clips may be anything, and are not here.
    """

    masks: Mapping[tuple[str, int], MaskSource]
    declared: tuple[DeclaredLabel, ...]
    reading: str
    alone: tuple[Path, ...]


def find_labels(
    found: Found, folder: Path, masks: Path | None, labels: str | None, threshold: int | None, problems: Problems
) -> Labels:
    """The masks in the folder `masks`, else the segmentations in the source, else the mask pictures beside its clips.

    What fits badly goes to `problems`.

    Raises:
        UserError: `masks` holds segmentations and pictures; options that are for pictures are given for segmentations.
    """
    if masks is None:
        segmentations, pictures, root = (
            found.segmentations,
            [path for path in found.others if is_mask_file(path)],
            folder,
        )
        pictures = [] if segmentations else pictures
    else:
        segmentations, pictures, root = *_in_folder(masks), masks
    if segmentations and pictures:
        raise UserError(f"{masks} holds DICOM segmentations and other masks; keep one kind.")
    reading = MaskReading(threshold)
    if not segmentations:
        placed, alone = match_masks(pictures, root, found.clips, reading, problems)
        declared = () if labels is None else parse_labels(labels)
        return Labels(placed, declared, reading.explain(), () if masks is None else tuple(alone))
    if labels is not None or threshold is not None:
        raise UserError("DICOM segmentations name their labels; give --labels and --threshold for mask pictures only.")
    return _from_segmentations(segmentations, found, problems)


def _in_folder(masks: Path) -> tuple[list[Path], list[Path]]:
    """(DICOM segmentations, other masks) of a folder."""
    segmentations: list[Path] = []
    others: list[Path] = []
    for path in files_below(masks):
        if is_dicom(path):
            kind = str(read_header(path, ("SOPClassUID",)).get("SOPClassUID"))
            (segmentations if kind in SEGMENTATION_CLASSES else others).append(path)
        elif is_mask_file(path):
            others.append(path)
    return segmentations, others


def _from_segmentations(paths: Sequence[Path], found: Found, problems: Problems) -> Labels:
    clips = {clip.instance: clip for clip in found.clips}
    marks: dict[tuple[str, int], list[Mark]] = defaultdict(list)
    alone = []
    for path in paths:
        with problems.collecting():
            placed = {place: marked for place, marked in read_marks(path).items() if place[0] in clips}
            _refuse_names(path, placed, clips)
            if not placed:
                alone.append(path)
            for (instance, index), marked in placed.items():
                marks[instance, _index_in(clips[instance], index, path)] += marked
    classes = number_classes(mark for several in marks.values() for mark in several)
    masks = {place: SegmentMask(tuple(marked), classes) for place, marked in marks.items()}
    first: dict[int, str] = {}
    for label, number in classes.items():
        first.setdefault(number, label)
    declared = tuple(DeclaredLabel(label, number) for number, label in first.items())
    return Labels(masks, declared, "segments of DICOM segmentations, by their labels", tuple(alone))


def _index_in(clip: FoundClip, index: int | None, path: Path) -> int:
    frames = clip.clip.frames
    if index is None and frames > 1:
        raise UserError(
            f"{path} does not tell which of the {frames} frames of {clip.clip.file} it marks; export it again."
        )
    if index is not None and not 0 <= index < frames:
        raise UserError(f"{path} marks frame {index + 1}, but {clip.clip.file} has the frames 1 to {frames}.")
    return index or 0


def _refuse_names(path: Path, placed: Mapping[Place, Sequence[Mark]], clips: Mapping[str, FoundClip]) -> None:
    """Refuse labels that name the patient; those of other patients may be words, as Herz and Leber are."""
    words = identifying_words(read_header(path, IDENTITY_KEYWORDS))
    words = words.union(*(clips[instance].words for instance, _ in placed))
    labels = {label for marked in placed.values() for mark in marked for label in mark.labels.values()}
    if any(hide(label, words) != label for label in labels):
        raise UserError(f"{path} has a segment whose label holds the name or id of the patient; rename it.")
