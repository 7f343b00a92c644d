"""What of a folder is an ultrasound clip, a DICOM segmentation or neither, told by content and not by name."""

from __future__ import annotations

import filecmp
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset, uid

from medt_pipeline.core.dicom.frames import Clip, read_clip
from medt_pipeline.core.dicom.header import is_dicom, opened
from medt_pipeline.core.dicom.identity import IDENTITY_KEYWORDS, identifying_words
from medt_pipeline.core.images import LOSSLESS_ENDINGS

from ..problems import Problems, count
from .patients import patient_key

CLIP_CLASSES = (
    uid.UltrasoundImageStorage,
    uid.UltrasoundMultiFrameImageStorage,
    "1.2.840.10008.5.1.4.1.1.6",  # both as they were until 1993
    "1.2.840.10008.5.1.4.1.1.3",
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
)
CLIP_ENDINGS = (".dcm", ".dicom", ".ima")
SEGMENTATION_CLASSES = (uid.SegmentationStorage, "1.2.840.10008.5.1.4.1.1.66.7")
"""The second: segmentations as label maps, new in 2024."""
_KEYWORDS = (*IDENTITY_KEYWORDS, "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "BurnedInAnnotation")


@dataclass(frozen=True)
class FoundClip:
    """A clip of the source; what names the patient stays in memory.

    Attributes:
        relative: its path below the source.
        instance: SOP Instance UID, by which segmentations refer to it; the relative path where there is none.
        patient: see `patients.patient_key`; study: Study Instance UID, "" where there is none.
        words: words of its header that name a person; see `identity.identifying_words`.
        burned_in: the file says that its pixels name the patient.
    """

    clip: Clip
    relative: Path
    instance: str
    patient: tuple[str, ...]
    study: str
    words: frozenset[str]
    burned_in: bool

    @property
    def stem(self) -> str:
        """`stem_of` the file."""
        return stem_of(self.relative)


@dataclass
class Found:
    """All that a folder holds.

    Attributes:
        segmentations: DICOM segmentations; `others`: files that are no DICOM, among which masks may be.
        left_out: what was left out, in numbers: no names of files, which may name patients.
        words: words that name a person in any of the headers.
        paths: all files that were looked at.
    """

    clips: list[FoundClip] = field(default_factory=list)
    segmentations: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    paths: list[Path] = field(default_factory=list)


def stem_of(path: Path) -> str:
    """Name of a file without the ending of a clip or mask; names made of numbers and dots, as of clips, have none."""
    endings = (ending for ending in (*CLIP_ENDINGS, *LOSSLESS_ENDINGS) if path.name.lower().endswith(ending))
    return path.name[: len(path.name) - len(next(endings, ""))]


def files_below(folder: Path) -> list[Path]:
    """All files below the folder, sorted; hidden ones and those in hidden folders left out."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def scan(folder: Path, problems: Problems, masks: Path | None = None) -> Found:
    """Look at the headers of all files below `folder`, hidden ones left alone; broken ones go to `problems`.

    Copies of a clip (the same instance and the same bytes) count once. A folder of `masks` within is not looked at.
    """
    found = Found()
    unused: Counter[str] = Counter()
    by_instance: dict[str, FoundClip] = {}
    found.paths = files_below(folder)
    apart = None if masks is None else masks.resolve()
    for path in found.paths:
        if apart is not None and path.resolve().is_relative_to(apart):
            continue
        with problems.collecting():
            if not is_dicom(path):
                found.others.append(path)
                continue
            reason = _sort_in(path, path.relative_to(folder), found, by_instance, problems)
            if reason:
                unused[reason] += 1
    found.clips = list(by_instance.values())
    found.left_out = [f"{count(number, 'file')}: {reason}" for reason, number in sorted(unused.items())]
    return found


def _sort_in(
    path: Path, relative: Path, found: Found, by_instance: dict[str, FoundClip], problems: Problems
) -> str | None:
    """Put one DICOM file in its place; the reason where it has none."""
    with opened(path, _KEYWORDS) as file:
        header, kind, has_pixels = file.header, file.kind, file.pixels_at is not None
    found.words |= identifying_words(header)
    # a DICOMDIR has the latter only
    sop_class = uid.UID(str(header.get("SOPClassUID") or kind))
    if sop_class in SEGMENTATION_CLASSES:
        found.segmentations.append(path)
        return None
    if sop_class not in CLIP_CLASSES:
        known = sop_class.name if sop_class.name != sop_class else "an unknown kind"
        return f"{known}, no ultrasound image"
    if not has_pixels:
        return f"{sop_class.name} without pixels"
    clip = _found_clip(path, relative, header)
    twin = by_instance.setdefault(clip.instance, clip)
    if twin is clip:
        return None
    if not filecmp.cmp(twin.clip.file, path, shallow=False):
        problems.add(f"{path} and {twin.clip.file} differ but claim to be the same instance; keep the right one.")
    return "copy of another file"


def _found_clip(path: Path, relative: Path, header: Dataset) -> FoundClip:
    return FoundClip(
        clip=read_clip(path),
        relative=relative,
        instance=str(header.get("SOPInstanceUID") or relative.as_posix()),
        patient=patient_key(header) or ("clip", relative.as_posix()),
        study=str(header.get("StudyInstanceUID") or ""),
        words=identifying_words(header),
        burned_in=header.get("BurnedInAnnotation") == "YES",
    )
