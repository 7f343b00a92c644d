"""Anybody's own images with masks of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import stem_of

from .case_names import unique_case_names
from .folder_masks import FolderOptions, MatchedMasks, match_masks
from .groups import declared_groups
from .label_mapping import DeclaredLabel
from .pictures import PictureFile
from .problems import Problems, some
from .registry import source as registered
from .sources import OWN_GROUP, Selection, SourceCase
from .summary import Summary
from .target import Target
from .writer import write_dataset


def convert(images: Path, masks: Path, target: Target, options: FolderOptions | None = None) -> Summary:
    """Convert the pictures directly in `images` with `masks`: a folder, which may be the same, or a COCO file.

    Raises:
        UserError: options or files have problems; those of the files are told together.
    """
    target.check(images, masks)
    problems = Problems()
    selection, declared = select(images, masks, options or FolderOptions(), problems)
    return write_dataset(selection, declared, registered("folder"), target, problems)


def select(
    images: Path, masks: Path, options: FolderOptions, problems: Problems
) -> tuple[Selection, tuple[DeclaredLabel, ...]]:
    """Match the files and name the cases; what is wrong with the names goes to `problems`.

    Returns:
        The cases, and the labels where they have names already.

    Raises:
        UserError: a folder is absent or without images, or what lies there is in doubt.
    """
    matched = match_masks(images, masks, options, problems)
    files = [image for image, _ in matched.pairs]
    stems = [stem_of(image) for image in files]
    groups, rule = _groups(files, stems, matched, options, problems)
    names = unique_case_names(stems)
    cases = tuple(
        SourceCase(name, PictureFile(image), mask, groups.get(stem))
        for name, stem, (image, mask) in zip(names, stems, matched.pairs, strict=True)
    )
    notes = (*matched.notes, *renaming_note(stems, names))
    return Selection(cases, rule, matched.reading, notes, matched.left_out), matched.declared


def _groups(
    files: Sequence[Path], stems: Sequence[str], matched: MatchedMasks, options: FolderOptions, problems: Problems
) -> tuple[dict[str, str], str]:
    """The group of every stem, and the rule that tells it; {} where nothing is known."""
    if options.groups is not None and matched.groups:
        raise UserError("Groups are given by --groups and in the table of --pair; keep one of them.")
    if options.groups is not None:
        with problems.collecting():
            return declared_groups(options.groups, stems)
    if not matched.groups:
        return {}, OWN_GROUP
    without = [file.name for file in files if file not in matched.groups]
    if without:
        problems.add(f"The table of --pair has no group for {some(without)}; give all a group or none.")
    groups = {stem: matched.groups[file] for stem, file in zip(stems, files, strict=True) if file in matched.groups}
    return groups, "listed in the table of pairs"


def renaming_note(stems: list[str], names: list[str]) -> list[str]:
    """A note on cases whose name is not the stem of their image; medt_cases.json has them all."""
    renamed = [f"{stem} → {name}" for stem, name in zip(stems, names, strict=True) if stem != name]
    if not renamed:
        return []
    return [f"{len(renamed)} names changed to letters, digits, - and _ without _0000 at the end: {some(renamed, 3)}"]
