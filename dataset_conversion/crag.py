"""CRAG: glands in colorectal cancer, in the layout of the Warwick archive (version 2).

Source: Graham et al., Medical Image Analysis 2019 (MILD-Net), and the description of the archive in
https://github.com/XiaoyuZHK/CRAG-Dataset_Aug_ToCOCO.
"""

from __future__ import annotations

from pathlib import Path

from .label_mapping import parse_labels
from .masks import MaskFile, MaskReading
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import NO_PATIENTS, files_in, keep_pairs
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, MASKS = "Images", "Annotation"
PARTS = {"train": False, "valid": True, "test": True}
"""Whether a part is for testing; the archive calls the other part one or the other."""
OBJECTS = MaskReading(instances=True)

_PICTURE = r"((?:train|test)_\d+)\.png"


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert Images/ and Annotation/ of train/ for training and of valid/ or test/ for testing.

    Object numbers become the label "gland" and stay beside it. Earlier archives hold annotations without images;
    --skip-unpaired leaves them out.

    Raises:
        UserError: the folder is not that of CRAG, or its files have problems, all told together.
    """
    with target.opened(source, "CRAG") as folder:
        problems = Problems()
        root = folder_with(folder, f"train/{IMAGES}", f"train/{MASKS}")
        selection = select(root, skip_unpaired, problems)
        return write_dataset(selection, parse_labels("gland=1"), registered("crag"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names goes to `problems`.

    Raises:
        UserError: a folder is absent or holds no pictures.
    """
    cases: list[SourceCase] = []
    left_out: tuple[str, ...] = ()
    for part, test in PARTS.items():
        if not (root / part).is_dir():
            continue
        images = files_in(root / part / IMAGES, _PICTURE, "images of CRAG")
        masks = files_in(root / part / MASKS, _PICTURE, "annotations of CRAG")
        names, alone = keep_pairs(images, masks, skip_unpaired, problems)
        left_out += alone
        cases += [
            SourceCase(name, PictureFile(images[name]), MaskFile(masks[name], OBJECTS), test=test) for name in names
        ]
    return Selection(tuple(cases), NO_PATIENTS, OBJECTS.explain(), left_out=left_out)
