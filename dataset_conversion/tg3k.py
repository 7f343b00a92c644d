"""TG3K: the thyroid gland in ultrasound, in the layout of the archive of TN3K, which it comes with.

Source: `dataloaders/tg3k.py` of https://github.com/haifangong/TRFE-Net-for-thyroid-nodule-segmentation, and the
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

IMAGES, MASKS = "thyroid-image", "thyroid-mask"

_PICTURE = r"(\d+)\.jpg"


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert thyroid-image/ and thyroid-mask/; masks are JPEG and are cut as `lossy_masks` says.

    The images are frames of 16 videos, which the release does not tell apart. Those that are nearly the same are one
    group; others of one video are not, so scores of a cross-validation will be too good.

    Raises:
        UserError: the folder is not that of TG3K, or its files have problems, all told together.
    """
    with target.opened(source, "TG3K") as folder:
        problems = Problems()
        selection = select(folder_with(folder, IMAGES, MASKS), skip_unpaired, problems)
        return write_dataset(selection, parse_labels("thyroid=1"), registered("tg3k"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names goes to `problems`.

    Raises:
        UserError: a folder is absent or holds no pictures.
    """
    images = files_in(root / IMAGES, _PICTURE, "images of TG3K")
    masks = files_in(root / MASKS, _PICTURE, "masks of TG3K")
    names, left_out = keep_pairs(images, masks, skip_unpaired, problems)
    cases = [SourceCase(name, PictureFile(images[name]), LossyMask(masks[name])) for name in names]
    note = "frames of few videos, which the release does not tell apart: scores of a cross-validation will be too good"
    return Selection(tuple(cases), NO_PATIENTS, READING, (note,), left_out)
