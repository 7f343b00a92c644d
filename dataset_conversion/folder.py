"""Anybody's own images: one folder of images, one of masks, matched by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.errors import UserError

from .case_names import unique_case_names
from .groups import declared_groups
from .label_mapping import parse_labels
from .masks import MaskFile, MaskReading
from .pairing import pair, split_shared_folder
from .pictures import PictureFile
from .problems import Problems, some
from .registry import source as registered
from .sources import OWN_GROUP, Selection, SourceCase, images_in, report_unpaired
from .summary import Summary
from .target import Target
from .writer import write_dataset


@dataclass(frozen=True)
class FolderOptions:
    """What only the owner of the images knows.

    Attributes:
        labels: `name=value,…` as `label_mapping.parse_labels` reads it.
        groups: CSV file or regular expression as `groups.declared_groups` reads it.
        threshold, instances: see `MaskReading`.
        skip_unpaired: leave out images without mask and masks without image.
    """

    labels: str | None = None
    groups: str | None = None
    threshold: int | None = None
    instances: bool = False
    skip_unpaired: bool = False


def convert(images: Path, masks: Path, target: Target, options: FolderOptions | None = None) -> Summary:
    """Convert the pictures directly in `images` and `masks`, which may be one folder.

    Raises:
        UserError: options or files have problems; those of the files are told together.
    """
    options = options or FolderOptions()
    reading = MaskReading(options.threshold, options.instances)
    declared = () if options.labels is None else parse_labels(options.labels)
    target.check(images, masks)
    problems = Problems()
    selection = select(images, masks, reading, options, problems)
    return write_dataset(selection, declared, registered("folder"), target, problems)


def select(images: Path, masks: Path, reading: MaskReading, options: FolderOptions, problems: Problems) -> Selection:
    """Match the files and name the cases; what is wrong with the names goes to `problems`.

    Raises:
        UserError: a folder is absent or without images.
    """
    image_files, notes = images_in(images, "images")
    if masks.exists() and images.samefile(masks):
        image_files, mask_files = split_shared_folder(image_files)
        if not mask_files:
            raise UserError(f"{images} is given for images and masks, but holds no names such as a.png and a_mask.png.")
    else:
        mask_files, more = images_in(masks, "masks")
        notes += more
    pairing = pair(image_files, mask_files)
    left_out = report_unpaired(pairing, options.skip_unpaired, problems)
    stems = [image.stem for image, _ in pairing.pairs]
    groups: dict[str, str] = {}
    rule = OWN_GROUP
    if options.groups is not None:
        with problems.collecting():
            groups, rule = declared_groups(options.groups, stems)
    names = unique_case_names(stems)
    cases = tuple(
        SourceCase(name, PictureFile(image), MaskFile(mask, reading), groups.get(image.stem))
        for name, (image, mask) in zip(names, pairing.pairs, strict=True)
    )
    return Selection(cases, rule, reading.explain(), (*notes, *renaming_note(stems, names)), tuple(left_out))


def renaming_note(stems: list[str], names: list[str]) -> list[str]:
    """A note on cases whose name is not the stem of their image; medt_cases.json has them all."""
    renamed = [f"{stem} → {name}" for stem, name in zip(stems, names, strict=True) if stem != name]
    if not renamed:
        return []
    return [f"{len(renamed)} names changed to letters, digits, - and _ without _0000 at the end: {some(renamed, 3)}"]
