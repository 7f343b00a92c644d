"""BUSI: breast ultrasound, with benign and malignant lesions and normal breasts in a folder each."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from .masks import UnitedMasks
from .pictures import PictureFile
from .problems import Problems, count, some
from .registry import source as registered
from .released import NO_PATIENTS, chosen_labels
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

LESIONS = ("benign", "malignant")
NORMAL = "normal"

LABELS = {"lesion": "lesion=1", "benign+malignant": "benign=1,malignant=2"}
VALUES = {"lesion": {"benign": 1, "malignant": 1}, "benign+malignant": {"benign": 1, "malignant": 2}}

_FILE = re.compile(r"(\w+) \((\d+)\)(_mask(?:_\d+)?)?\.png")


def convert(
    source: Path, target: Target, classes: str = "lesion", drop_normals: bool = False, skip_unpaired: bool = False
) -> Summary:
    """Convert the archive or its folder: benign/benign (1).png with benign (1)_mask.png, perhaps _mask_1.png, …

    The masks of an image are united and each of them stays an object in instancesTr.

    Args:
        classes: "lesion" for one label, "benign+malignant" for two.
        drop_normals: leave out images without lesion, whose masks are empty.

    Raises:
        UserError: the folder is not such an archive, or its files have problems, all told together.
    """
    with target.opened(source, "BUSI") as folder:
        problems, labels = Problems(), chosen_labels(LABELS, classes)
        selection = select(folder_with(folder, *LESIONS), classes, drop_normals, skip_unpaired, problems)
        return write_dataset(selection, labels, registered("busi"), target, problems)


def select(folder: Path, classes: str, drop_normals: bool, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases below `folder`; what is wrong with their names goes to `problems`."""
    cases: list[SourceCase] = []
    alone: list[str] = []
    kinds = (*LESIONS, *([NORMAL] if (folder / NORMAL).is_dir() else []))
    for kind in kinds:
        images, masks = _pictures(folder / kind)
        alone += [f"image {image.name}: no mask" for number, image in images.items() if number not in masks]
        alone += [f"mask {file.name}: no image" for number in masks.keys() - images.keys() for file in masks[number]]
        value = VALUES[classes].get(kind, 0)
        cases += [
            SourceCase(
                f"{kind}_{number:03d}", PictureFile(image), UnitedMasks(masks[number], value), facts={"class": kind}
            )
            for number, image in sorted(images.items())
            if number in masks
        ]
    if alone and not skip_unpaired:
        problems.add(
            f"{count(len(alone), 'file')} in {folder} have no counterpart ({some(alone)}); "
            "unpack the archive again or leave them out with --skip-unpaired."
        )
    normals = [case for case in cases if case.facts["class"] == NORMAL]
    kept = [case for case in cases if not drop_normals or case not in normals]
    said = f"{count(len(normals), 'normal image')} without lesion "
    note = said + ("left out as --drop-normals says" if drop_normals else "kept with empty masks")
    reading = "the masks of an image are united, each is an object"
    return Selection(tuple(kept), NO_PATIENTS, reading, (note,), tuple(alone) if skip_unpaired else ())


def _pictures(folder: Path) -> tuple[dict[int, Path], dict[int, tuple[Path, ...]]]:
    """Image, and masks, of every number in the folder of one kind."""
    images: dict[int, Path] = {}
    masks: dict[int, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match and match[1] == folder.name:
            if match[3]:
                masks[int(match[2])].append(path)
            else:
                images[int(match[2])] = path
    return images, {number: tuple(files) for number, files in masks.items()}
