"""Which mask every image of a folder has, whatever the format of the masks and however they are paired."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import ending_of
from medt_pipeline.core.slices import read_grid

from .annotated_files import READERS, NamedMasks, from_coco, from_files
from .annotations.coco import read_coco
from .annotations.drawing import DRAWING_RULE
from .class_files import ClassFilesMask, ClassMatching, match_class_files, match_class_folders
from .class_names import ClassDecision, decide_classes
from .label_mapping import DeclaredLabel, parse_labels
from .mask_formats import AUTO, FORMATS, FoundMasks, by_format, choose, find_masks
from .masks import MaskFile, MaskReading, MaskSource
from .pair_rules import pair_by_pattern, pair_by_table
from .pairing import Pairing, pair, split_by_words, split_shared_folder
from .problems import Problems, count, some
from .sources import images_in, left_alone, report_unpaired


@dataclass(frozen=True)
class FolderOptions:
    """What only the owner of the images knows.

    Attributes:
        labels: what values or names of classes mean: `label_mapping.parse_labels`, `class_names.decide_classes`.
        groups: CSV file or regular expression as `groups.declared_groups` reads it.
        threshold, instances: see `MaskReading`; for mask pictures only.
        mask_format: a key of `mask_formats.FORMATS`; "auto" where one alone must fit.
        pair: a CSV file (`pair_rules.pair_by_table`) or a regular expression (`pair_rules.pair_by_pattern`); None
            matches by stem.
        skip_unpaired: leave out images without mask and masks without image.
    """

    labels: str | None = None
    groups: str | None = None
    threshold: int | None = None
    instances: bool = False
    mask_format: str = AUTO
    pair: str | None = None
    skip_unpaired: bool = False

    @property
    def reading(self) -> MaskReading:
        """How mask pictures are understood.

        Raises:
            UserError: `threshold` and `instances` contradict each other.
        """
        return MaskReading(self.threshold, self.instances)


@dataclass(frozen=True)
class MatchedMasks:
    """Pairs of image and mask in the order of the images, and what was found out on the way.

    Attributes:
        reading: for the summary: what lay there and how it is understood.
        declared: labels by name; () leaves them to the label rules.
        groups: group of an image, where the table of pairs tells it.
    """

    pairs: tuple[tuple[Path, MaskSource], ...]
    reading: str
    declared: tuple[DeclaredLabel, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    groups: Mapping[Path, str] = field(default_factory=dict)


def match_masks(images: Path, masks: Path, options: FolderOptions, problems: Problems) -> MatchedMasks:
    """Find what lies in `masks` and give every image of `images` its mask; what fits badly goes to `problems`.

    Raises:
        UserError: a folder is absent or empty, or what it holds is in doubt.
    """
    table = _table(options.pair)
    if table:
        return _by_table(table, images, masks, options, problems)
    files, notes = images_in(images, "images")
    mask_pictures = None
    if masks.exists() and images.samefile(masks):
        files, mask_pictures = split_by_words(files) if options.pair else split_shared_folder(files)
        # its files of other kinds are the annotations
        notes = []
    found = find_masks(masks, files, mask_pictures, options.mask_format)
    if mask_pictures is None and masks.is_dir():
        notes += left_alone(masks, set(found.files))
    matched = _MATCH[found.format](files, found, options, problems)
    return replace(matched, notes=(*notes, *matched.notes))


def _table(pair: str | None) -> Path | None:
    if pair is None or Path(pair).is_file():
        return pair if pair is None else Path(pair)
    if ending_of(Path(pair)) == ".csv":
        raise UserError(f"The table of pairs, {pair}, does not exist; check the spelling.")
    return None


def _by_table(table: Path, images: Path, masks: Path, options: FolderOptions, problems: Problems) -> MatchedMasks:
    pairing, groups = pair_by_table(table, images, masks)
    masks_listed = [mask for _, mask in pairing.pairs]
    found = choose(by_format(masks_listed), table, options.mask_format)
    if found.format not in (*READERS, "pictures"):
        raise UserError(f"{table} pairs files, but {FORMATS[found.format]} is for many images; leave out --pair.")
    others = [mask.name for mask in masks_listed if mask not in found.files]
    if others:
        raise UserError(f"{table} lists {FORMATS[found.format]} and other files: {some(others)}; list one kind.")
    return replace(_from_pairs(pairing, found.format, options, problems), groups=groups)


def _match_pairs(images: Sequence[Path], found: FoundMasks, options: FolderOptions, problems: Problems) -> MatchedMasks:
    """One file an image: a mask picture or a file of annotations."""
    pairing = pair_by_pattern(options.pair, images, found.files) if options.pair else pair(images, found.files)
    return _from_pairs(pairing, found.format, options, problems)


def _from_pairs(pairing: Pairing, format: str, options: FolderOptions, problems: Problems) -> MatchedMasks:
    left_out = tuple(report_unpaired(pairing, options.skip_unpaired, problems))
    if format == "pictures":
        masks = tuple((image, MaskFile(mask, options.reading)) for image, mask in pairing.pairs)
        declared = () if options.labels is None else parse_labels(options.labels)
        return MatchedMasks(masks, options.reading.explain(), declared, _misplaced(pairing.pairs), left_out)
    _refuse_reading(format, options)
    return _named(from_files(format, pairing.pairs, options.labels, problems), format, left_out)


def _misplaced(pairs: Sequence[tuple[Path, Path]]) -> tuple[str, ...]:
    """A note on medical masks whose header places them elsewhere than their image: pixels are taken as stored."""
    names = []
    for image, mask in pairs:
        one, other = read_grid(image), read_grid(mask)
        if one and other and not one.is_close(other):
            names.append(mask.name)
    if not names:
        return ()
    where = f"{count(len(names), 'mask')} placed or turned otherwise than the image by the header ({some(names)})"
    return (f"{where}: pixels are taken as stored; look at the contact sheet whether they fit",)


def _match_coco(images: Sequence[Path], found: FoundMasks, options: FolderOptions, problems: Problems) -> MatchedMasks:
    """One file for all images, in which they are found by the stems of their names, whatever folder these tell."""
    _refuse_reading(found.format, options)
    _refuse_pattern(found.format, options)
    (file,) = found.files
    content = read_coco(file)
    picture_of = {Path(name.replace("\\", "/")): name for name in content.pictures}
    pairing = pair(images, list(picture_of))
    left_out = tuple(report_unpaired(pairing, options.skip_unpaired, problems))
    pairs = [(image, picture_of[picture]) for image, picture in pairing.pairs]
    return _named(from_coco(file, content, pairs, options.labels, problems), found.format, left_out)


def _named(masks: NamedMasks, format: str, left_out: tuple[str, ...]) -> MatchedMasks:
    classes = masks.classes
    return MatchedMasks(masks.pairs, f"{FORMATS[format]}: {DRAWING_RULE}", classes.declared, classes.notes, left_out)


def _match_classes(
    images: Sequence[Path], found: FoundMasks, options: FolderOptions, problems: Problems
) -> MatchedMasks:
    """One mask picture a class."""
    _refuse_pattern(found.format, options)
    match = match_class_files if found.format == "class-files" else match_class_folders
    matching = match(images, found.files)
    pairing = Pairing((), matching.images_alone, matching.masks_alone, matching.ambiguous)
    left_out = tuple(report_unpaired(pairing, options.skip_unpaired, problems))
    if not matching.files_of:
        problems.raise_if_any()
    classes = decide_classes(matching.counts(), options.labels, "mask")
    masks = tuple(
        (image, ClassFilesMask(files, classes.label_of, classes.ordered, options.reading))
        for image, files in matching.files_of.items()
    )
    reading = f"{FORMATS[found.format]}: {options.reading.explain()}"
    return MatchedMasks(masks, reading, classes.declared, (*classes.notes, *_absent(matching, classes)), left_out)


def _absent(matching: ClassMatching, classes: ClassDecision) -> list[str]:
    numbers = {name: number for name, number in matching.counts().items() if name in classes.label_of}
    images = len(matching.files_of)
    return [
        f"{count(images - number, 'image')} without a mask of {name}: it holds none of that class"
        for name, number in numbers.items()
        if number < images
    ]


def _refuse_reading(format: str, options: FolderOptions) -> None:
    if options.reading != MaskReading():
        raise UserError(f"--threshold and --instances are for mask pictures, but the masks are {FORMATS[format]}.")


def _refuse_pattern(format: str, options: FolderOptions) -> None:
    if options.pair:
        raise UserError(f"--pair matches one mask with one image, but the masks are {FORMATS[format]}; leave it out.")


_MATCH: Mapping[str, Callable[[Sequence[Path], FoundMasks, FolderOptions, Problems], MatchedMasks]] = {
    **dict.fromkeys(("pictures", *READERS), _match_pairs),
    **dict.fromkeys(("class-files", "class-folders"), _match_classes),
    "coco": _match_coco,
}
