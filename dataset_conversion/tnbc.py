"""TNBC: nuclei in breast cancer, in the layout of the Zenodo record.

Source: https://doi.org/10.5281/zenodo.1175282, Naylor et al., IEEE TMI 2019, and
`torch_em/data/datasets/histopathology/tnbc.py` of https://github.com/constantinpape/torch-em.
"""

from __future__ import annotations

from pathlib import Path

from .label_mapping import parse_labels
from .one_class_masks import READING, OneClassMask
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import files_in, keep_pairs
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

_FIRST = "Slide_01"
_PICTURE = r"(\d+_\d+)\.png"


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert Slide_NN/NN_M.png with the masks GT_NN/NN_M.png; the group is the slide, each of one patient.

    Masks are black and white: nuclei that touch cannot be told apart, so no object numbers are written.

    Raises:
        UserError: the folder is not that of TNBC, or its files have problems, all told together.
    """
    with target.opened(source, "TNBC") as folder:
        problems = Problems()
        selection = select(folder_with(folder, _FIRST), skip_unpaired, problems)
        return write_dataset(selection, parse_labels("nucleus=1"), registered("tnbc"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names goes to `problems`.

    Raises:
        UserError: a folder is absent or holds no pictures.
    """
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for slide in sorted(root.glob("Slide_*")):
        images |= files_in(slide, _PICTURE, "images of TNBC")
        masks |= files_in(root / slide.name.replace("Slide", "GT"), _PICTURE, "masks of TNBC")
    names, left_out = keep_pairs(images, masks, skip_unpaired, problems)
    cases = [
        SourceCase(name, PictureFile(images[name]), OneClassMask(masks[name]), images[name].parent.name)
        for name in names
    ]
    return Selection(tuple(cases), "folder of the slide, one patient each", READING, left_out=left_out)
