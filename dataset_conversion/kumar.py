"""Kumar: nuclei of seven organs, in the layout that the authors of HoVer-Net share.

Source: Kumar et al., IEEE TMI 2017, and the older branch of https://github.com/vqdang/hover_net; its issue 86 tells
that some of these images are not those of the same name in MoNuSeg.
"""

from __future__ import annotations

from pathlib import Path

from .hovernet_layout import select_parts
from .label_mapping import parse_labels
from .matlab_masks import READING
from .problems import Problems
from .registry import source as registered
from .sources import Selection, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

PARTS = {"train": False, "test_same": True, "test_diff": True, "test": True}
_PATIENT_PARTS = 3


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert train/ for training, test_same/ (the same organs) and test_diff/ (other organs) or test/ for testing.

    The group is the patient of The Cancer Genome Atlas, TCGA-XX-YYYY in front of the name. Object numbers stay beside
    the label "nucleus".

    Raises:
        UserError: the folder is not that of Kumar, or its files have problems, all told together.
    """
    with target.opened(source, "Kumar") as folder:
        problems = Problems()
        root = folder_with(folder, "train/Images", "train/Labels")
        cases, left_out = select_parts(root, PARTS, "tif", False, patient_of, skip_unpaired, problems)
        selection = Selection(tuple(cases), "patient of TCGA in the name", READING, left_out=left_out)
        return write_dataset(selection, parse_labels("nucleus=1"), registered("kumar"), target, problems)


def patient_of(name: str) -> str:
    """ "TCGA-49-4488" of "TCGA-49-4488-01Z-00-DX1"."""
    return "-".join(name.split("-")[:_PATIENT_PARTS])
