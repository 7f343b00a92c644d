"""CPM-17: nuclei in four kinds of tumour, in the layout that the authors of HoVer-Net share.

Source: Vu et al., Frontiers in Bioengineering and Biotechnology 2019, the older branch of
https://github.com/vqdang/hover_net, and `torch_em/data/datasets/histopathology/cpm.py` of
https://github.com/constantinpape/torch-em.
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

PARTS = {"train": False, "test": True}


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert train/ for training and test/ for testing; object numbers stay beside the label "nucleus".

    Both parts count from image_00, so the names begin with their part.

    Raises:
        UserError: the folder is not that of CPM-17, or its files have problems, all told together.
    """
    with target.opened(source, "CPM-17") as folder:
        problems = Problems()
        root = folder_with(folder, "train/Images", "train/Labels")
        cases, left_out = select_parts(
            root, PARTS, "png", False, lambda name: None, skip_unpaired, problems, prefixed=True
        )
        selection = Selection(tuple(cases), NO_PATIENTS, READING, left_out=left_out)
        return write_dataset(selection, parse_labels("nucleus=1"), registered("cpm17"), target, problems)
