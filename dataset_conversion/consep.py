"""CoNSeP: nuclei of seven kinds in colorectal cancer, in the layout of the Warwick archive.

Source: the README of the archive, Graham et al., Medical Image Analysis 2019 (HoVer-Net), and
https://kaiko-ai.github.io/eva/main/datasets/consep.
"""

from __future__ import annotations

from pathlib import Path

from .hovernet_layout import select_parts
from .matlab_masks import READING
from .problems import Problems
from .registry import source as registered
from .released import NO_PATIENTS, chosen_labels, numbered
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
LABELS = {"nucleus": "nucleus=1", "kinds": numbered(CLASSES)}
"""By `classes`."""


def convert(source: Path, target: Target, classes: str = "nucleus", skip_unpaired: bool = False) -> Summary:
    """Convert Train/ for training and Test/ for testing; object numbers stay beside the labels.

    Args:
        classes: "nucleus" for one label, "kinds" for seven.

    Raises:
        UserError: the folder is not that of CoNSeP, or its files have problems, all told together.
    """
    with target.opened(source, "CoNSeP") as folder:
        problems, labels = Problems(), chosen_labels(LABELS, classes)
        root = folder_with(folder, "Train/Images", "Train/Labels")
        cases, left_out = select_parts(
            root, PARTS, "png", classes == "kinds", lambda name: None, skip_unpaired, problems
        )
        selection = Selection(tuple(cases), NO_PATIENTS, READING, left_out=left_out)
        return write_dataset(selection, labels, registered("consep"), target, problems)
