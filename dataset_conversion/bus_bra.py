"""BUS-BRA: breast lesions in ultrasound with patients and biopsies, in the layout of the Zenodo record.

Source: https://doi.org/10.5281/zenodo.8231412, Gómez-Flores et al., Medical Physics 2024, and the converter of
https://github.com/CAMMA-public/UltraSam.
"""

from __future__ import annotations

from pathlib import Path

from .one_class_masks import READING, OneClassMask
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import chosen_labels, files_in, keep_pairs, read_table, require_listed
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, MASKS, TABLE = "Images", "Masks", "bus_data.csv"
NAME, PATIENT, PATHOLOGY, BIRADS, DEVICE = "ID", "Case", "Pathology", "BIRADS", "Device"
LABELS = {"lesion": "lesion=1,lesion=2", "benign+malignant": "benign=1,malignant=2"}
"""By `classes`; benign lesions have the value 1 and malignant ones 2."""


def convert(source: Path, target: Target, classes: str = "lesion", skip_unpaired: bool = False) -> Summary:
    """Convert Images/ and Masks/; the group is the patient in bus_data.csv, which also tells benign from malignant.

    Args:
        classes: "lesion" for one label, "benign+malignant" for two.

    Raises:
        UserError: the folder is not that of BUS-BRA, or its files have problems, all told together.
    """
    with target.opened(source, "BUS-BRA") as folder:
        problems, labels = Problems(), chosen_labels(LABELS, classes)
        selection = select(folder_with(folder, IMAGES, MASKS, TABLE), skip_unpaired, problems)
        return write_dataset(selection, labels, registered("bus-bra"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names and the table goes to `problems`.

    Raises:
        UserError: a folder holds no pictures, or the table lacks columns.
    """
    images = files_in(root / IMAGES, r"bus_(.+)\.png", "images of BUS-BRA")
    masks = files_in(root / MASKS, r"mask_(.+)\.png", "masks of BUS-BRA")
    names, left_out = keep_pairs(images, masks, skip_unpaired, problems)
    rows = {row[NAME]: row for row in read_table(root / TABLE, (NAME, PATIENT, PATHOLOGY, BIRADS, DEVICE))}
    require_listed([f"bus_{name}" for name in names], rows, root / TABLE, problems)
    cases = []
    for name in (name for name in names if f"bus_{name}" in rows):
        row = rows[f"bus_{name}"]
        pathology = row[PATHOLOGY].lower()
        if pathology not in ("benign", "malignant"):
            problems.add(f"{root / TABLE} calls bus_{name} {pathology!r}, not benign or malignant; mend the table.")
        cases.append(
            SourceCase(
                f"bus_{name}",
                PictureFile(images[name]),
                OneClassMask(masks[name], 2 if pathology == "malignant" else 1),
                row[PATIENT],
                facts={"pathology": pathology, "BI-RADS": row[BIRADS], "device": row[DEVICE]},
            )
        )
    return Selection(tuple(cases), f"column {PATIENT} of {TABLE}", READING, left_out=left_out)
