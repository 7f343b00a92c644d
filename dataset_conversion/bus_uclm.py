"""BUS-UCLM: breast lesions in ultrasound with masks in green and red, in the layout of the Mendeley record.

Source: the scripts of the authors, https://github.com/noeliavallez/BUS-UCLM-Dataset, and Vallez et al., Scientific Data
2025.
"""

from __future__ import annotations

from pathlib import Path

from .masks import MaskFile
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import chosen_labels, files_in, keep_pairs, read_table
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, MASKS, TABLE = "images", "masks", "INFO.csv"
NAME, FACTS = "Image", ("Label", "Doppler", "Marks", "Combined")
LABELS = {"lesion": "lesion=#00FF00,lesion=#FF0000", "benign+malignant": "benign=#00FF00,malignant=#FF0000"}
"""By `classes`; black is no lesion."""

_PICTURE = r"(([A-Z]{4})_.+)\.png"
_LETTERS = 4


def convert(source: Path, target: Target, classes: str = "lesion", skip_unpaired: bool = False) -> Summary:
    """Convert images/ and masks/. Normal images have black masks and are kept.

    The group is the patient, for whom the first four letters of a name stand. What INFO.csv says of Doppler colours,
    marks and images put side by side is kept as facts.

    Args:
        classes: "lesion" for one label, "benign+malignant" for two.

    Raises:
        UserError: the folder is not that of BUS-UCLM, or its files have problems, all told together.
    """
    with target.opened(source, "BUS-UCLM") as folder:
        problems, labels = Problems(), chosen_labels(LABELS, classes)
        selection = select(folder_with(folder, IMAGES, MASKS), skip_unpaired, problems)
        return write_dataset(selection, labels, registered("bus-uclm"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names goes to `problems`.

    Raises:
        UserError: a folder is absent or holds no pictures.
    """
    images = files_in(root / IMAGES, _PICTURE, "images of BUS-UCLM")
    masks = files_in(root / MASKS, _PICTURE, "masks of BUS-UCLM")
    names, left_out = keep_pairs(images, masks, skip_unpaired, problems)
    facts = _facts(root / TABLE)
    cases = [
        SourceCase(name, PictureFile(images[name]), MaskFile(masks[name]), name[:_LETTERS], facts=facts.get(name, {}))
        for name in names
    ]
    return Selection(tuple(cases), "first four letters of the name, one patient each", left_out=left_out)


def _facts(table: Path) -> dict[str, dict[str, str | float]]:
    """What the table says of each image, {} where it is not there."""
    if not table.exists():
        return {}
    rows = read_table(table, (NAME, *FACTS))
    return {row[NAME].removesuffix(".png"): {fact.lower(): row[fact].lower() for fact in FACTS} for row in rows}
