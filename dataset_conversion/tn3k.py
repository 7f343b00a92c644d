"""TN3K: nodules of the thyroid in ultrasound, in the layout of the authors' archive.

Source: `dataloaders/tn3k.py` of https://github.com/haifangong/TRFE-Net-for-thyroid-nodule-segmentation, and the
converter of https://github.com/CAMMA-public/UltraSam.
"""

from __future__ import annotations

from pathlib import Path

from .label_mapping import parse_labels
from .lossy_masks import READING, LossyMask
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import NO_PATIENTS, files_in, keep_pairs
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

PARTS = {"trainval": False, "test": True}
"""Whether a part is for testing."""

_PICTURE = r"(\d+)\.jpg"


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert trainval-image/ and trainval-mask/ for training, test-image/ and test-mask/ for testing.

    Masks are JPEG and are cut as `lossy_masks` says. The folds of the archive (tn3k-trainval-fold*.json) number the
    images without regard to patients and are not used. Both parts count from 0000, so names begin with their part.

    Raises:
        UserError: the folder is not that of TN3K, or its files have problems, all told together.
    """
    with target.opened(source, "TN3K") as folder:
        problems = Problems()
        root = folder_with(folder, "trainval-image", "trainval-mask")
        selection = select(root, skip_unpaired, problems)
        return write_dataset(selection, parse_labels("nodule=1"), registered("tn3k"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names goes to `problems`.

    Raises:
        UserError: a folder is absent or holds no pictures.
    """
    cases: list[SourceCase] = []
    left_out: tuple[str, ...] = ()
    for part, test in PARTS.items():
        images = files_in(root / f"{part}-image", _PICTURE, "images of TN3K")
        masks = files_in(root / f"{part}-mask", _PICTURE, "masks of TN3K")
        names, alone = keep_pairs(images, masks, skip_unpaired, problems)
        left_out += tuple(f"{part} {name}" for name in alone)
        cases += [
            SourceCase(f"{part}_{name}", PictureFile(images[name]), LossyMask(masks[name]), test=test) for name in names
        ]
    return Selection(tuple(cases), NO_PATIENTS, READING, left_out=left_out)
