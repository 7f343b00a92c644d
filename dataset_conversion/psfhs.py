"""PSFHS: pubic symphysis and head of the fetus in ultrasound during labour, in the layout of the Zenodo record.

Source: https://zenodo.org/records/10969427, Chen et al., Scientific Data 2024, and
`torch_em/data/datasets/medical/psfhs.py` of https://github.com/constantinpape/torch-em.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.core.pixel_size_of_files import read_pixel_size
from medt_pipeline.core.slices import read_planes

from .label_mapping import parse_labels
from .masks import MaskFile
from .problems import Problems
from .registry import source as registered
from .released import NO_PATIENTS, files_in, keep_pairs
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

IMAGES, MASKS = "image_mha", "label_mha"
LABELS = "pubic symphysis=1,fetal head=2"

_PICTURE = r"(.+)\.mha"


@dataclass(frozen=True)
class PlanesPicture:
    """A MetaImage whose three slices are the channels red, green and blue of one picture."""

    path: Path

    @property
    def file(self) -> Path:
        """The MetaImage."""
        return self.path

    def read(self) -> np.ndarray:
        """(H, W, 3) integers.

        Raises:
            UserError: as for `core.slices.read_planes`; there are not three slices.
        """
        planes = read_planes(self.path)
        if len(planes) != 3:
            raise UserError(f"{self.path} has {len(planes)} slices; the three channels of one picture were expected.")
        return np.moveaxis(planes, 0, 2)

    def pixel_size(self) -> PixelSize | None:
        """What the file tells; None where its spacing is (1, 1)."""
        return read_pixel_size(self.path)


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert image_mha/ and label_mha/: channels are stored as slices there.

    Raises:
        UserError: the folder is not that of PSFHS, or its files have problems, all told together.
    """
    with target.opened(source, "PSFHS") as folder:
        problems = Problems()
        selection = select(folder_with(folder, IMAGES, MASKS), skip_unpaired, problems)
        return write_dataset(selection, parse_labels(LABELS), registered("psfhs"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names goes to `problems`.

    Raises:
        UserError: a folder holds no pictures.
    """
    images = files_in(root / IMAGES, _PICTURE, "images")
    masks = files_in(root / MASKS, _PICTURE, "masks")
    names, left_out = keep_pairs(images, masks, skip_unpaired, problems)
    cases = [SourceCase(name, PlanesPicture(images[name]), MaskFile(masks[name])) for name in names]
    return Selection(tuple(cases), NO_PATIENTS, left_out=left_out)
