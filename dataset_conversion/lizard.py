"""Lizard: nuclei of six kinds in the colon, in the layout of the Warwick archives.

Source: Graham et al., ICCV workshops 2021, and `torch_em/data/datasets/histopathology/lizard.py` of
https://github.com/constantinpape/torch-em.
"""

from __future__ import annotations

from pathlib import Path

from medt_pipeline.core.errors import UserError

from .matlab_masks import READING, MatlabMask
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import NO_PATIENTS, chosen_labels, files_in, keep_pairs, numbered, read_table, require_listed
from .sources import Selection, SourceCase
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, MASKS, TABLE = "Lizard_Images*", "Lizard_Labels", "info.csv"
NAME, ORIGIN, SPLIT = "Filename", "Source", "Split"
CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
"""In the order of the numbers 1 to 6."""
LABELS = {"nucleus": "nucleus=1", "kinds": numbered(CLASSES)}
"""By `classes`."""


def convert(source: Path, target: Target, classes: str = "nucleus", skip_unpaired: bool = False) -> Summary:
    """Convert Lizard_Images1/, Lizard_Images2/ and Lizard_Labels/; object numbers stay beside the labels.

    All images are for training; the release divides them into three for cross-validation, which is kept as a fact, and
    tells no patients.

    Args:
        classes: "nucleus" for one label, "kinds" for six.

    Raises:
        UserError: the folder is not that of Lizard, or its files have problems, all told together.
    """
    with target.opened(source, "Lizard") as folder:
        problems, labels = Problems(), chosen_labels(LABELS, classes)
        selection = select(folder, classes == "kinds", skip_unpaired, problems)
        return write_dataset(selection, labels, registered("lizard"), target, problems)


def select(root: Path, kinds: bool, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases, however deep the three archives were unpacked; what is wrong with names goes to `problems`.

    Raises:
        UserError: a folder is absent or holds no files, or the table lacks columns.
    """
    images: dict[str, Path] = {}
    for folder in sorted(root.rglob(IMAGES)):
        if any(folder.glob("*.png")):
            images |= files_in(folder, r"(.+)\.png", "images of Lizard")
    labels = sorted(folder for folder in root.rglob(MASKS) if (folder / TABLE).exists())
    if not images or len(labels) != 1:
        raise UserError(
            f"{root} does not hold Lizard_Images1 and Lizard_Images2 with PNG files and one Lizard_Labels with "
            f"{TABLE}; unpack the three archives of Lizard into one folder and give that."
        )
    masks = files_in(labels[0] / "Labels", r"(.+)\.mat", "labels of Lizard")
    names, left_out = keep_pairs(images, masks, skip_unpaired, problems)
    rows = {row[NAME]: row for row in read_table(labels[0] / TABLE, (NAME, ORIGIN, SPLIT))}
    require_listed(names, rows, labels[0] / TABLE, problems)
    cases = [
        SourceCase(
            name,
            PictureFile(images[name]),
            MatlabMask(masks[name], "class" if kinds else ""),
            facts={"origin": rows[name][ORIGIN], "split": rows[name][SPLIT]},
        )
        for name in names
        if name in rows
    ]
    return Selection(tuple(cases), NO_PATIENTS, READING, left_out=left_out)
