"""FH-PS-AOP (JNU-IFM's challenge): pubic symphysis and head of the fetus, in the layout of the Zenodo record.

Source: https://zenodo.org/records/7851339, https://ps-fh-aop-2023.grand-challenge.org, Lu et al., Data in Brief 2022,
and the converter of https://github.com/CAMMA-public/UltraSam.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .label_mapping import parse_labels
from .problems import Problems
from .psfhs import IMAGES, LABELS, MASKS, select
from .registry import source as registered
from .sources import folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

NOTE = "the release tells neither patients nor videos, so scores of a cross-validation may be too good"


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert image_mha/ and label_mha/, which look like those of PSFHS.

    The images come from videos; a note says that the release tells neither them nor the patients.

    Raises:
        UserError: the folder is not that of FH-PS-AOP, or its files have problems, all told together.
    """
    with target.opened(source, "FH-PS-AOP") as folder:
        problems = Problems()
        found = select(folder_with(folder, IMAGES, MASKS), skip_unpaired, problems)
        selection = replace(found, notes=(*found.notes, NOTE))
        return write_dataset(selection, parse_labels(LABELS), registered("fh-ps-aop"), target, problems)
