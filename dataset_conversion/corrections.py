"""Corrected masks, sent back as new training cases of a raw data set that exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import require_folder
from medt_pipeline.core.images import LOSSLESS_ENDINGS, list_images, read_image, read_mask, stem_of
from medt_pipeline.core.prediction_record import MANIFEST, images_of, model_of, read_prediction_record

from .annotated_files import READERS
from .annotations.mask import AnnotatedMask
from .case_names import unique_case_names
from .channels import to_channels
from .duplicates import Duplicate, find_duplicates, groups_of
from .edited_masks import EditedMask
from .enlarging import AddedCase, ExistingSet, enlarge
from .groups import declared_groups
from .inspection import Inspected, inspect
from .known_labels import KnownLabels, known_labels, require_known
from .label_mapping import to_values
from .mask_formats import FORMATS, by_format
from .masks import MaskSource
from .pairing import pair, possible_stems
from .pictures import PictureFile
from .problems import Problems, count, some
from .sources import SourceCase, images_in
from .target import Target

READABLE = ("pictures", *READERS)
CONFIRMED = "confirmed as predicted"
"""Of a mask that was looked at and is right."""


@dataclass(frozen=True)
class CorrectionOptions:
    """What only the reviewer knows.

    Attributes:
        reviewed: folder that medt_predict wrote, whose masks were corrected; it tells images and model.
        images: folder of images, or one image; None: as the record in `reviewed` says.
        labels: what values or classes mean that the data set does not know: see `known_labels.known_labels`.
        groups: CSV file or regular expression as `groups.declared_groups` reads it, on the names of the images.
        replace: cases that are in the training data already get the corrected mask in place of theirs.
    """

    reviewed: Path | None = None
    images: Path | None = None
    labels: str | None = None
    groups: str | None = None
    replace: bool = False


@dataclass(frozen=True)
class AddedCorrections:
    """What was added, or would be.

    Attributes:
        dataset: name of the raw data set.
        added, replaced: names of cases.
        confirmed: cases whose mask is the predicted one.
        empty: cases whose mask shows nothing.
        training_cases: how many the data set has now.
        groups: of the added and replaced cases, their number.
        notes: what was mended or is to be looked at.
    """

    dataset: str
    added: tuple[str, ...]
    replaced: tuple[str, ...]
    confirmed: tuple[str, ...]
    empty: tuple[str, ...]
    training_cases: int
    groups: int
    notes: tuple[str, ...]

    def to_text(self) -> str:
        """The sentence that the data set keeps, and the notes."""
        return "\n".join([f"{self.dataset}: {self.sentence}", *(f"  note  {note}" for note in self.notes)])

    @property
    def sentence(self) -> str:
        """What happened, without names."""
        what = [f"{count(len(self.added), 'corrected mask')} added as training cases"]
        what += [f"{count(len(self.replaced), 'mask')} replaced"] if self.replaced else []
        what += [f"{len(self.confirmed)} of them as predicted"] if self.confirmed else []
        what += [f"{len(self.empty)} empty"] if self.empty else []
        return f"{', '.join(what)}, in {count(self.groups, 'group')}; {self.training_cases} training cases in all"


@dataclass(frozen=True)
class _Reviewed:
    """What was reviewed: the images, their predicted masks by stem, and the model, "" where it is not known."""

    images: tuple[Path, ...]
    predictions: Mapping[str, Path]
    model: str


def add_corrections(corrections: Path, target: Target, options: CorrectionOptions) -> AddedCorrections:
    """Add every corrected mask in a folder with its image to the raw data set `target`, which is complete or unchanged.

    Raises:
        UserError: there is no such data set or it cannot take them; options or files have problems, those of the files
            told together.
    """
    files = _files(corrections)
    reviewed = _reviewed(options)

    def decide(existing: ExistingSet) -> tuple[list[AddedCase], AddedCorrections]:
        problems = Problems()
        known = known_labels(existing.content["labels"], options.labels)
        pairs = _pairs(files, reviewed, problems)
        inspected = inspect(_select(pairs, existing, known, reviewed, options, problems), problems)
        duplicates = find_duplicates(inspected)
        groups = groups_of(inspected, duplicates)
        added = []
        for one in inspected:
            with problems.collecting():
                added.append(_decide_case(one, existing, known, reviewed, options.replace, groups[one.case.name]))
        problems.raise_if_any()
        return added, _summarise(added, existing, duplicates)

    return enlarge(target, decide, lambda summary: summary.sentence)


def _files(corrections: Path) -> dict[Path, str]:
    """Format of every file in the folder of corrected masks that has one."""
    files = [path for path in require_folder(corrections, "corrected masks").iterdir() if path.is_file()]
    if (corrections / MANIFEST).exists():
        raise UserError(
            f"{corrections} is a folder that medt_predict wrote, in which nobody can tell what was corrected; put the "
            "masks that were looked at into a folder of their own."
        )
    found = by_format(sorted(file for file in files if not file.name.startswith(".")))
    others = [FORMATS[format] for format in found if format not in READABLE]
    format_of = {file: format for format in READABLE for file in found.get(format, ())}
    if others or not format_of:
        readable = "; ".join(FORMATS[format] for format in READABLE)
        what = f"holds {others[0]}" if others else "holds no corrected mask"
        raise UserError(f"{corrections} {what}; {readable} are read, one file an image.")
    return format_of


def _reviewed(options: CorrectionOptions) -> _Reviewed:
    if options.images is None and options.reviewed is None:
        raise UserError(
            "It is not known which images were corrected; name the folder that medt_predict wrote with --reviewed, or "
            "that of the images with --images."
        )
    masks = None if options.reviewed is None else require_folder(options.reviewed, "predicted masks")
    record = {} if masks is None else read_prediction_record(masks)
    folder = options.images or images_of(options.reviewed or Path(), record)
    images = [folder] if folder.is_file() else images_in(folder, "images")[0]
    predictions = [] if masks is None else list_images(masks, LOSSLESS_ENDINGS)
    return _Reviewed(tuple(images), {stem_of(path): path for path in predictions}, model_of(record))


def _pairs(format_of: Mapping[Path, str], reviewed: _Reviewed, problems: Problems) -> list[tuple[Path, Path, str]]:
    """Image, correction and format of every correction; those without image go to `problems`."""
    stems = {stem for file in format_of for stem in possible_stems(stem_of(file))}
    pairing = pair([image for image in reviewed.images if stem_of(image) in stems], sorted(format_of))
    for sentence in pairing.ambiguous:
        problems.add(f"{sentence[0].upper()}{sentence[1:]}; keep one of them or rename.")
    if pairing.masks_alone:
        names = some([file.name for file in pairing.masks_alone])
        problems.add(f"No image is named as {names}; name a corrected mask as its image, but for the ending.")
    return [(image, mask, format_of[mask]) for image, mask in pairing.pairs]


def _select(
    pairs: Sequence[tuple[Path, Path, str]],
    existing: ExistingSet,
    known: KnownLabels,
    reviewed: _Reviewed,
    options: CorrectionOptions,
    problems: Problems,
) -> list[SourceCase]:
    """The cases by the names that they have or get; what is wrong with them goes to `problems`."""
    stems = [stem_of(image) for image, _, _ in pairs]
    groups: Mapping[str, str] = {}
    if options.groups is not None:
        with problems.collecting():
            groups = declared_groups(options.groups, stems)[0]
    cases = []
    for name, stem, (image, mask, format) in zip(unique_case_names(stems), stems, pairs, strict=True):
        with problems.collecting():
            there = existing.training_name(name)
            if there is None and name.lower() in existing.test_names:
                raise UserError(f"{image} is a test case of {existing.raw.name}, which must stay unseen; leave it out.")
            source = _mask(image, mask, format, known, reviewed.predictions.get(stem))
            cases.append(SourceCase(there or name, PictureFile(image), source, groups.get(stem)))
    return cases


def _mask(image: Path, mask: Path, format: str, known: KnownLabels, prediction: Path | None) -> MaskSource:
    if format == "pictures":
        return EditedMask(mask, image, known.names, prediction)
    read = READERS[format]
    require_known({shape.name for shape in read(mask).shapes}, known, mask)
    return AnnotatedMask(mask, partial(read, mask), known.of_class)


def _decide_case(
    one: Inspected, existing: ExistingSet, known: KnownLabels, reviewed: _Reviewed, replace: bool, group: str
) -> AddedCase:
    """The case with its labels and where it comes from.

    Raises:
        UserError: its image or its mask does not fit the data set, or it is there already.
    """
    case, facts = one.case, one.mask
    if case.mask is None or facts is None:
        raise ValueError(f"{case.name} has no mask")
    existing.require_channels(one.image, case.image.file)
    replaces = case.name in existing.training
    if replaces:
        _require_replaceable(case, existing, replace)
    mapping = known.mapping(facts.counts, facts.coloured, case.mask.files[0])
    read = case.mask.read(one.image.size)
    labels = mapping.apply(to_values(read.values, facts.coloured))
    origin: dict[str, str | float] = {"origin": "correction"}
    prediction = reviewed.predictions.get(stem_of(case.image.file))
    if prediction is not None:
        origin["review"] = CONFIRMED if np.array_equal(read_mask(prediction), labels) else "corrected"
    if reviewed.model:
        origin["predicted_by"] = reviewed.model
    before = existing.known.get(case.name)
    kept = before.group if before is not None and case.group is None else group
    return AddedCase(one, labels, read.objects, replaces, kept, origin)


def _require_replaceable(case: SourceCase, existing: ExistingSet, replace: bool) -> None:
    """Refuse a case that is in the training data already, unless its mask is to be replaced and its image is the same.

    Raises:
        UserError: the sentence names the image.
    """
    there = read_image(existing.training[case.name])
    picture = case.image.read()
    if there.shape[:2] != picture.shape[:2] or not np.array_equal(there, to_channels(picture, existing.rgb)):
        raise UserError(
            f"{case.image.file} is another image than the training case {case.name} of {existing.raw.name}; rename it "
            "and its corrected mask."
        )
    if not replace:
        raise UserError(
            f"{case.image.file} is the training case {case.name} of {existing.raw.name} already; leave it out, or give "
            "the case the corrected mask with --replace."
        )


def _summarise(added: Sequence[AddedCase], existing: ExistingSet, duplicates: Sequence[Duplicate]) -> AddedCorrections:
    new = tuple(one.name for one in added if not one.replaces)
    mended = [(one.inspected.mask_file, one.inspected.mask.repairs) for one in added if one.inspected.mask is not None]
    return AddedCorrections(
        dataset=existing.raw.name,
        added=new,
        replaced=tuple(one.name for one in added if one.replaces),
        confirmed=tuple(one.name for one in added if one.origin.get("review") == CONFIRMED),
        empty=tuple(one.name for one in added if not one.labels.any()),
        training_cases=len(existing.training) + len(new),
        groups=len({one.group for one in added}),
        notes=(
            *(f"{file.name if file else ''}: {repair}" for file, repairs in mended for repair in repairs),
            *(f"same or nearly the same image: {one.explain()}" for one in duplicates),
        ),
    )
