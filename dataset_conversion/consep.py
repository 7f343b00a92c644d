"""CoNSeP: nuclei of seven kinds in colorectal cancer, in the layout of the Warwick archive.

Source: the README of the archive, Graham et al., Medical Image Analysis 2019 (HoVer-Net), and
https://kaiko-ai.github.io/eva/main/datasets/consep.
"""

from __future__ import annotations

from pathlib import Path

from .hovernet_layout import select_parts
from .label_mapping import parse_labels
from .matlab_masks import READING
from .problems import Problems
from .registry import source as registered
from .released import NO_PATIENTS
from .sources import Selection, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

PARTS = {"Train": False, "Test": True}
CLASSES = (
    "other",
    "inflammatory",
    "healthy epithelial",
    "malignant epithelial",
    "fibroblast",
    "muscle",
    "endothelial",
)
"""In the order of the numbers 1 to 7."""


def convert(source: Path, target: Target, classes: bool = False, skip_unpaired: bool = False) -> Summary:
    """Convert Train/ for training and Test/ for testing; object numbers stay beside the labels.

    Args:
        classes: the seven kinds as labels instead of "nucleus".

    Raises:
        UserError: the folder is not that of CoNSeP, or its files have problems, all told together.
    """
    names = CLASSES if classes else ("nucleus",)
    labels = parse_labels(",".join(f"{name}={number}" for number, name in enumerate(names, start=1)))
    with target.opened(source, "CoNSeP") as folder:
        problems = Problems()
        root = folder_with(folder, "Train/Images", "Train/Labels")
        cases, left_out = select_parts(root, PARTS, "png", classes, lambda name: None, skip_unpaired, problems)
        selection = Selection(tuple(cases), NO_PATIENTS, READING, left_out=left_out)
        return write_dataset(selection, labels, registered("consep"), target, problems)
