"""Ultrasound DICOM as hospitals have it: frames of clips with their masks, without a word of whose they are."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medt_pipeline.core.clip_frames import frame_case
from medt_pipeline.core.dicom.frames import Clip, read_frame
from medt_pipeline.core.dicom.geometry import Region
from medt_pipeline.core.dicom.identity import hide
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import require_folder, write_text
from medt_pipeline.core.pixel_size import PixelSize

from ..problems import Problems, count, some
from ..registry import source as registered
from ..sources import Selection, SourceCase
from ..summary import Summary
from ..target import Target
from ..writer import write_dataset
from .files import Found, FoundClip, files_below, scan
from .labels import Labels, find_labels
from .masks import ClipMask, NoMark
from .patients import SALT_FILE, salt_for, short_hash

_SALT_NOTE = "With this salt and a list of patients, case names can be traced back: delete the file before sharing."
_GROUP_RULES = {
    "patient": "patient id, hashed; where there is none, name and date of birth, else the study",
    "study": "study, hashed",
    "clip": "each file is its own group",
}
_PICTURE, _MASK = ".dcm", ".mask"
"""Endings of the names of cases where messages and tables expect names of files."""


@dataclass(frozen=True)
class DicomOptions:
    """What only the owner of the files knows.

    Attributes:
        masks: folder of masks; None takes the DICOM segmentations in the source, else mask pictures beside the clips.
        labels, threshold: for mask pictures, as for `folder.FolderOptions`.
        every: of the frames of a clip that are taken, only every so many, from the first; None takes all.
        crop_region: cut pictures and masks to the largest tissue region.
        group_by: what must not be split: "patient", "study" or "clip".
        unmarked_empty: frames without a mask, of clips that have some, count as empty instead of unknown.
        key: CSV file to write that tells which frame of which file became which case; outside the workspace.
        skip_unpaired: leave out clips without masks, masks without a clip, and clips without a region to cut to.
    """

    masks: Path | None = None
    labels: str | None = None
    threshold: int | None = None
    every: int | None = None
    crop_region: bool = False
    group_by: str = "patient"
    unmarked_empty: bool = False
    key: Path | None = None
    skip_unpaired: bool = False


@dataclass(frozen=True)
class FramePicture:
    """A frame of a clip under the name of its case: a `Picture`."""

    clip: Clip
    index: int
    name: Path
    crop: Region | None

    @property
    def file(self) -> Path:
        """The name, since that of the file may hold the name of a patient."""
        return self.name

    def read(self) -> np.ndarray:
        """(H, W) gray or (H, W, 3) RGB, cut to the region.

        Raises:
            UserError: as for `core.dicom.frames.read_frame`.
        """
        picture = read_frame(self.clip.file, self.index)
        return picture if self.crop is None else picture[self.crop.slices()]

    def pixel_size(self) -> PixelSize | None:
        """That of the clip."""
        return self.clip.pixel_size


@dataclass(frozen=True)
class NamedClip:
    """A clip under the name that stands for it, such as "p3fa9c1d2e4_002"."""

    name: str
    group: str
    found: FoundClip

    def case_name(self, index: int) -> str:
        """Name of the case that a frame becomes; frames are numbered from 1, as DICOM does."""
        return self.name if self.found.clip.frames == 1 else frame_case(self.name, index)


def convert(source: Path, target: Target, options: DicomOptions | None = None) -> Summary:
    """Convert all ultrasound files below `source`, a folder or an archive, recognised by their content.

    Case names are made of a salted hash of the patient, a number of the file and one of the frame. The salt lies in
    medt_dicom.json of the data set; where that is replaced, it is used again, so the same patients get the same names.

    Raises:
        UserError: options or files have problems; those of the files are told together, and nothing is written.
    """
    options = options or DicomOptions()
    _check(source, target, options)
    with target.opened(source, "DICOM files") as folder:
        problems = Problems()
        found = scan(folder, problems, options.masks)
        salt = salt_for(target.folder)
        clips = name_clips(found.clips, salt, options.group_by)
        with _without_names(folder, options.masks, found) as cases:
            labels = _labels(folder, found, options, problems)
            selection = select(clips, labels, found, options, problems)
            cases += selection.cases
            selection = replace(selection, files={SALT_FILE: {"note": _SALT_NOTE, "salt": salt}})
            summary = write_dataset(selection, labels.declared, registered("dicom"), target, problems)
        if options.key is not None and not target.check_only:
            _write_key(options.key, selection, clips)
        return summary


def name_clips(clips: Sequence[FoundClip], salt: str, group_by: str) -> list[NamedClip]:
    """Name the clips by patient and number; numbers follow the instances, so they do not depend on names of files."""
    named = []
    numbers: Counter[str] = Counter()
    for clip in sorted(clips, key=lambda clip: clip.instance):
        patient = f"p{short_hash(salt, *clip.patient)}"
        numbers[patient] += 1
        name = f"{patient}_{numbers[patient]:03d}"
        study = f"s{short_hash(salt, 'study', clip.study or clip.instance)}"
        named.append(NamedClip(name, {"patient": patient, "study": study, "clip": name}[group_by], clip))
    return sorted(named, key=lambda clip: clip.name)


def select(
    clips: Sequence[NamedClip], labels: Labels, found: Found, options: DicomOptions, problems: Problems
) -> Selection:
    """The cases of the frames that are to be taken; what keeps a clip out goes to `problems`, or is left out."""
    marked: dict[str, set[int]] = defaultdict(set)
    for instance, index in labels.masks:
        marked[instance].add(index)
    taken, left_out = _usable(clips, marked, labels, options, problems)
    used = {file for mask in labels.masks.values() for file in mask.files}
    unused = sum(path not in used for path in found.others)
    others = [f"{count(unused, 'file')}: no DICOM"] if unused else []
    cases = [case for clip in taken for case in _cases(clip, marked[clip.found.instance], labels, options)]
    return Selection(
        tuple(cases),
        _GROUP_RULES[options.group_by],
        labels.reading,
        tuple(_notes(taken, marked, options)),
        (*found.left_out, *others, *left_out),
    )


def _usable(
    clips: Sequence[NamedClip],
    marked: Mapping[str, set[int]],
    labels: Labels,
    options: DicomOptions,
    problems: Problems,
) -> tuple[list[NamedClip], list[str]]:
    """The clips that can be taken, and what is left out, in numbers."""
    unmarked = [clip.found.clip.file for clip in clips if not marked.get(clip.found.instance)]
    boundless = [clip.found.clip.file for clip in clips if options.crop_region and clip.found.clip.region is None]
    reasons = {
        "without a mask": unmarked,
        "without a clip, though they are masks": list(labels.alone),
        "without an ultrasound region to cut to": boundless,
    }
    told = [(reason, files) for reason, files in reasons.items() if files]
    if not options.skip_unpaired:
        for reason, files in told:
            problems.add(
                f"There {'is' if len(files) == 1 else 'are'} {count(len(files), 'file')} {reason} "
                f"({some([str(file) for file in files])}); mend that or leave them out with --skip-unpaired."
            )
    dropped = {*unmarked, *boundless}
    kept = [clip for clip in clips if clip.found.clip.file not in dropped]
    return kept, [f"{count(len(files), 'file')} {reason}" for reason, files in told]


def _cases(clip: NamedClip, marked: set[int], labels: Labels, options: DicomOptions) -> Iterator[SourceCase]:
    facts = clip.found.clip
    wanted = range(facts.frames) if options.unmarked_empty else sorted(marked)
    crop = facts.region if options.crop_region else None
    for index in wanted[:: options.every or 1]:
        name = clip.case_name(index)
        source = labels.masks.get((clip.found.instance, index)) or NoMark(facts.file)
        yield SourceCase(
            name,
            FramePicture(facts, index, Path(name + _PICTURE), crop),
            ClipMask(source, Path(name + _MASK), (facts.rows, facts.columns), crop),
            clip.group,
        )


def _notes(clips: Sequence[NamedClip], marked: Mapping[str, set[int]], options: DicomOptions) -> Iterator[str]:
    unmarked = sum(clip.found.clip.frames - len(marked[clip.found.instance]) for clip in clips)
    if unmarked:
        what = "count as empty" if options.unmarked_empty else "were left alone"
        yield f"{count(unmarked, 'frame')} without a mask in clips that have some {what}"
    if options.every:
        yield f"of the frames of a clip, one in {options.every} was taken"
    sizeless = sum(clip.found.clip.pixel_size is None for clip in clips)
    if sizeless:
        yield f"without a pixel size: {sizeless} of {count(len(clips), 'clip')}"
    nameless = sum(clip.found.patient[0] != "patient" for clip in clips)
    if nameless and options.group_by == "patient":
        yield f"without a patient id: {nameless} of {count(len(clips), 'clip')}"
    if len({clip.found.patient for clip in clips}) == 1 and options.group_by == "patient" and len(clips) > 1:
        yield "all clips tell the same patient; where that is a placeholder, use --group-by study or clip"
    burned = sum(clip.found.burned_in for clip in clips)
    if burned:
        cut = "what lies outside the region was cut" if options.crop_region else "--crop-region cuts the banner"
        yield f"with the patient's name in the pixels, says the header: {count(burned, 'clip')}; {cut}; look at them"
    yield f"{SALT_FILE} holds the salt of the names; delete it before the data set is passed on"


def _check(source: Path, target: Target, options: DicomOptions) -> None:
    if options.every is not None and options.every < 1:
        raise UserError(f"--every must be 1 or more, got {options.every}.")
    if options.masks is not None:
        masks = require_folder(options.masks, "masks")
        if source.exists() and masks.samefile(source):
            raise UserError(f"--masks is the source itself, {source}; leave it out, masks beside clips are found.")
    if options.key is None:
        return
    if options.key.resolve().is_relative_to(target.workspace.raw.resolve()):
        raise UserError(f"--key {options.key} would lie among the data sets, which it must never travel with.")
    require_folder(options.key.parent, "the key")


def _write_key(key: Path, selection: Selection, clips: Sequence[NamedClip]) -> None:
    """Write which frame of which file became which case."""
    relative = {clip.found.clip.file: clip.found.relative for clip in clips}
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(("case", "file", "frame"))
    for case in selection.cases:
        if isinstance(case.image, FramePicture):
            table.writerow((case.name, relative[case.image.clip.file].as_posix(), case.image.index + 1))
    write_text(key, lines.getvalue())


def _labels(folder: Path, found: Found, options: DicomOptions, problems: Problems) -> Labels:
    if found.clips:
        return find_labels(found, folder, options.masks, options.labels, options.threshold, problems)
    problems.raise_if_any()
    seen = f" ({some(found.left_out)})" if found.left_out else ""
    raise UserError(f"The source holds no ultrasound images in DICOM{seen}; give the folder or archive that does.")


@contextmanager
def _without_names(folder: Path, masks: Path | None, found: Found) -> Iterator[list[SourceCase]]:
    """In what a UserError says, name cases by their files, and files without the words that name a patient.

    Yields a list for the cases, as soon as they are known.
    """
    cases: list[SourceCase] = []
    try:
        yield cases
    except UserError as error:
        roots = [(path, folder) for path in found.paths]
        roots += [(path, masks) for path in files_below(masks)] if masks else []
        shown = {str(path): hide(str(path.relative_to(root)), found.words) for path, root in roots}
        shown |= {str(root): hide(str(root), found.words) for root in (folder, masks) if root is not None}
        text = str(error)
        for name, path in (*_files_of(cases).items(), *sorted(shown.items(), key=lambda one: -len(one[0]))):
            text = text.replace(name, path)
        raise UserError(text) from None


def _files_of(cases: Sequence[SourceCase]) -> dict[str, str]:
    """What the names that cases have in messages stand for."""
    files: dict[str, str] = {}
    for case in cases:
        if isinstance(case.image, FramePicture) and isinstance(case.mask, ClipMask):
            clip = case.image.clip
            frame = f"frame {case.image.index + 1} of " if clip.frames > 1 else ""
            files[case.image.name.name] = f"{frame}{clip.file}"
            files[case.mask.name.name] = str(case.mask.source.files[0])
    return files
