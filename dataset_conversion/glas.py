"""GlaS@MICCAI2015: glands in histology, in the layout of the official archive."""

from __future__ import annotations

import re
from pathlib import Path

from medt_pipeline.core.errors import UserError

from .label_mapping import parse_labels
from .masks import MaskFile, MaskReading
from .pictures import PictureFile
from .problems import Problems, count, some
from .registry import source as registered
from .released import read_table
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

GRADES = "Grade.csv"
NAME, PATIENT = "name", "patient ID"
FACTS = {"grade": "grade (GlaS)", "grade_2015": "grade (Sirinukunwattana et al. 2015)"}
"""What is kept of a case, by the columns of Grade.csv."""

OBJECTS = MaskReading(instances=True)
_PICTURE = re.compile(r"((train|testA|testB)_\d+)(_anno)?\.bmp")


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert the archive or its folder: train_N.bmp with train_N_anno.bmp and Grade.csv; testA_N and testB_N if there.

    Object numbers become the label "gland" and stay beside it in instancesTr and instancesTs. The patient of Grade.csv
    is the group. Test images may lack masks; training images may with `skip_unpaired`, which leaves them out.

    Raises:
        UserError: the folder is not such an archive, or its files have problems, all told together.
    """
    with target.opened(source, "GlaS") as folder:
        problems = Problems()
        selection = select(folder_with(folder, GRADES), skip_unpaired, problems)
        return write_dataset(selection, parse_labels("gland=1"), registered("glas"), target, problems)


def select(source: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases of the archive's folder; what is wrong with their names goes to `problems`."""
    images, masks = _pictures(source)
    listed = {row[NAME]: row for row in read_table(source / GRADES, (NAME, PATIENT, *FACTS.values())) if row[PATIENT]}
    unlisted = sorted(set(images) - set(listed))
    if unlisted:
        problems.add(f"{source / GRADES} has no patient for {some(unlisted)}; restore the archive's own {GRADES}.")
    alone = [name for name in images if name not in masks and name.startswith("train")]
    orphans = sorted(set(masks) - set(images))
    left_out = [f"image {images[name].name}: no mask" for name in alone]
    left_out += [f"mask {masks[name].name}: no image" for name in orphans]
    if left_out and not skip_unpaired:
        problems.add(
            f"{count(len(left_out), 'file')} in {source} have no counterpart ({some(left_out)}); "
            "unpack the archive again or leave them out with --skip-unpaired."
        )
    cases = tuple(
        SourceCase(
            name,
            PictureFile(images[name]),
            MaskFile(masks[name], OBJECTS) if name in masks else None,
            listed.get(name, {}).get(PATIENT),
            test=not name.startswith("train"),
            facts={key: listed[name][column] for key, column in FACTS.items() if name in listed},
        )
        for name in sorted(images)
        if name not in alone
    )
    absent = sum(name not in images for name in listed)
    notes = (f"{absent} of the {len(listed)} images listed in {GRADES} are not in the folder",) if absent else ()
    return Selection(
        cases, f"patient ID in {GRADES}", OBJECTS.explain(), notes, tuple(left_out) if skip_unpaired else ()
    )


def _pictures(source: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path in source.iterdir():
        match = _PICTURE.fullmatch(path.name)
        if match:
            (masks if match[3] else images)[match[1]] = path
    if not images:
        raise UserError(f"{source} holds {GRADES}, but no train_N.bmp; unpack the GlaS archive again.")
    return images, masks
