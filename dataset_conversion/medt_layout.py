"""Folders prepared for the published Medical-Transformer code: img/ and labelcol/, perhaps in train/, val/, test/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import stem_of

from .case_names import unique_case_names
from .folder import renaming_note
from .masks import MaskFile, MaskReading
from .pairing import pair
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .sources import OWN_GROUP, Selection, SourceCase, images_in, report_unpaired
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, MASKS = "img", "labelcol"
READING = MaskReading(threshold=127)
"""`utils.py` of the published code: `mask[mask<=127] = 0; mask[mask>127] = 1`."""
_TRAINING, _TEST = ("train", "val", "validation"), ("test",)


@dataclass(frozen=True)
class _Found:
    split: str
    image: Path
    mask: Path | None


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert SRC/img and SRC/labelcol, or the same in SRC/train and SRC/val (training) and SRC/test (test).

    Raises:
        UserError: the folders are not there, or their files have problems, all told together.
    """
    with target.opened(source, "img and labelcol") as folder:
        problems = Problems()
        selection = select(folder, skip_unpaired, problems)
        return write_dataset(selection, (), registered("medt"), target, problems)


def select(source: Path, skip_unpaired: bool, problems: Problems, reading: MaskReading = READING) -> Selection:
    """Find the cases of all parts; where two parts share a name, every name gets its part in front."""
    found: list[_Found] = []
    notes: list[str] = []
    left_out: list[str] = []
    parts = _parts(source)
    for split, folder in parts.items():
        with problems.collecting():
            cases, remarks, alone = _part(split, folder, skip_unpaired, problems)
            found += cases
            notes += remarks
            left_out += [f"{split} {name}".strip() for name in alone]
    stems = [stem_of(one.image) for one in found]
    shared = len({stem.casefold() for stem in stems}) < len(stems)
    prefixed = [f"{one.split}_{stem_of(one.image)}" if shared and one.split else stem_of(one.image) for one in found]
    names = unique_case_names(prefixed)
    if shared:
        notes.append(f"the parts share names, so each name got its part in front, such as {names[0]}")
    if any(split in _TRAINING[1:] for split in parts):
        notes.append("train and val together are for training; folds are drawn from them later")
    cases_of = [
        SourceCase(
            name,
            PictureFile(one.image),
            None if one.mask is None else MaskFile(one.mask, reading),
            test=one.split in _TEST,
        )
        for name, one in zip(names, found, strict=True)
    ]
    notes += renaming_note(prefixed, names)
    return Selection(tuple(cases_of), OWN_GROUP, reading.explain(), tuple(notes), tuple(left_out))


def _parts(source: Path) -> dict[str, Path]:
    """The folders with img/ inside by the name of their part; the name is "" where there are no parts."""
    parts = {split: source / split for split in (*_TRAINING, *_TEST) if (source / split / IMAGES).exists()}
    flat = (source / IMAGES).exists()
    if flat and parts:
        raise UserError(
            f"{source} holds both {IMAGES}/ and {', '.join(parts)}/; give a folder with only one of the two."
        )
    if not flat and not parts:
        raise UserError(
            f"{source} holds neither {IMAGES}/ nor train/{IMAGES}/; give the folder that holds one of them."
        )
    return parts or {"": source}


def _part(
    split: str, folder: Path, skip_unpaired: bool, problems: Problems
) -> tuple[list[_Found], list[str], list[str]]:
    images, notes = images_in(folder / IMAGES, "images")
    if split in _TEST and not (folder / MASKS).exists():
        return [_Found(split, image, None) for image in images], notes, []
    masks, more = images_in(folder / MASKS, "masks")
    pairing = pair(images, masks)
    left_out = report_unpaired(pairing, skip_unpaired, problems)
    return [_Found(split, image, mask) for image, mask in pairing.pairs], notes + more, left_out
