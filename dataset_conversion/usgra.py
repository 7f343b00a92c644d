"""usgra-seg: nerves and vessels in ultrasound for regional anaesthesia, in the layout of its repository."""

from __future__ import annotations

from pathlib import Path

from .case_names import unique_case_names
from .folder import renaming_note
from .label_mapping import parse_labels
from .masks import MaskFile
from .pairing import pair
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import NO_PATIENTS
from .sources import Selection, SourceCase, folder_with, images_in, report_unpaired
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, MASKS, TEST = "images", "masks", "test"

LABELS = "nerve=1,vessel=2"
"""The release names no classes: 1 is bright, textured and in every image, 2 is dark and in most."""


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert the archive or its folder: dataset/images and dataset/masks; those in dataset/test are for testing.

    Raises:
        UserError: the folders are not there, or their files have problems, all told together.
    """
    with target.opened(source, "usgra-seg") as folder:
        problems = Problems()
        selection = select(folder_with(folder, IMAGES, MASKS), skip_unpaired, problems)
        return write_dataset(selection, parse_labels(LABELS), registered("usgra"), target, problems)


def select(folder: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases in `folder` and its part for testing; what is wrong with their names goes to `problems`."""
    pairs: list[tuple[Path, Path, bool]] = []
    left_out: list[str] = []
    for part, test in ((folder, False), (folder / TEST, True)):
        if test and not part.is_dir():
            continue
        images, _ = images_in(part / IMAGES, "images")
        masks, _ = images_in(part / MASKS, "masks")
        pairing = pair(images, masks)
        left_out += report_unpaired(pairing, skip_unpaired, problems)
        pairs += [(image, mask, test) for image, mask in pairing.pairs]
    stems = [image.stem for image, _, _ in pairs]
    names = unique_case_names(stems)
    cases = tuple(
        SourceCase(name, PictureFile(image), MaskFile(mask), test=test)
        for name, (image, mask, test) in zip(names, pairs, strict=True)
    )
    return Selection(cases, NO_PATIENTS, notes=tuple(renaming_note(stems, names)), left_out=tuple(left_out))
