"""HC18: heads of fetuses in ultrasound, annotated by the outline of an ellipse, in the layout of the Zenodo record.

Source: https://zenodo.org/records/1327317, https://hc18.grand-challenge.org, and van den Heuvel et al., PLOS ONE 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_mask
from medt_pipeline.core.pixel_size import PixelSize, pixel_size

from .label_mapping import parse_labels
from .masks import ReadMask
from .outlines import fill_closed, fit_ellipse
from .pictures import PictureFile
from .problems import Problems
from .registry import source as registered
from .released import files_in, keep_pairs, read_table, require_listed
from .sources import Selection, SourceCase, folder_with
from .summary import Summary
from .target import Target
from .writer import write_dataset

TRAINING, TEST = "training_set", "test_set"
TRAINING_TABLE, TEST_TABLE = "training_set_pixel_size_and_HC.csv", "test_set_pixel_size.csv"
NAME, PIXEL, CIRCUMFERENCE = "filename", "pixel size(mm)", "head circumference (mm)"
ABOVE = 127
"""Outlines are 0 and 255; a picture that was saved again may hold what lies between."""

_IMAGE = r"(\d+_\d*HC)\.png"
_OUTLINE = r"(\d+_\d*HC)_Annotation\.png"
_UM_PER_MM = 1000.0


@dataclass(frozen=True)
class OutlineMask:
    """The area inside an outline that is drawn above `ABOVE`."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The picture of the outline."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """1 inside and 0 outside; a closed outline is filled, for an open one the repairs tell of the ellipse.

        Raises:
            UserError: as for `core.images.read_mask`; the picture is coloured, or what is drawn is no ellipse.
        """
        drawn = read_mask(self.path)
        if drawn.ndim == 3:
            raise UserError(f"{self.path} is a colour picture, but an outline in white on black was expected.")
        outline = drawn > ABOVE
        filled = fill_closed(outline)
        if filled is not None:
            return ReadMask(filled.astype(np.uint8))
        ellipse = fit_ellipse(outline)
        if ellipse is None:
            raise UserError(
                f"{self.path} holds no closed outline, and no ellipse fits what is drawn; close the outline, or take "
                "the image and its annotation away."
            )
        share = ellipse.drawn_share(outline)
        told = f"the outline is open or cut by the image border ({share:.0%} drawn), so an ellipse was fitted"
        return ReadMask(ellipse.inside(drawn.shape).astype(np.uint8), repairs=(told,))


def convert(source: Path, target: Target, skip_unpaired: bool = False) -> Summary:
    """Convert training_set/ with its outlines and table, and test_set/ without masks where it is there.

    The group is the examination, the number in front of the name; several images of one examination look alike. Which
    examinations belong to one woman is not told. Test images count from 000 again, so their names begin with "test_".

    Raises:
        UserError: the folder is not that of HC18, or its files have problems, all told together.
    """
    with target.opened(source, "HC18") as folder:
        problems = Problems()
        selection = select(folder_with(folder, TRAINING), skip_unpaired, problems)
        return write_dataset(selection, parse_labels("fetal head=1"), registered("hc18"), target, problems)


def select(root: Path, skip_unpaired: bool, problems: Problems) -> Selection:
    """Find the cases; what is wrong with names and tables goes to `problems`.

    Raises:
        UserError: the folder or a table is not that of HC18.
    """
    images = files_in(root / TRAINING, _IMAGE, "images of HC18")
    outlines = files_in(root / TRAINING, _OUTLINE, "annotations of HC18")
    names, left_out = keep_pairs(images, outlines, skip_unpaired, problems)
    table = _table(root, TRAINING_TABLE)
    rows = {row[NAME].removesuffix(".png"): row for row in read_table(table, (NAME, PIXEL, CIRCUMFERENCE))}
    require_listed(names, rows, table, problems)
    cases = [
        SourceCase(
            name,
            PictureFile(images[name], _size(rows.get(name, {}))),
            OutlineMask(outlines[name]),
            name.partition("_")[0],
            facts=_facts(rows.get(name, {})),
        )
        for name in names
    ]
    if (root / TEST).is_dir():
        cases += _test_cases(root, problems)
    rule = "number of the examination in front of the name"
    return Selection(tuple(cases), rule, "the area inside the outline counts as 1", left_out=left_out)


def _test_cases(root: Path, problems: Problems) -> list[SourceCase]:
    images = files_in(root / TEST, _IMAGE, "test images of HC18")
    table = _table(root, TEST_TABLE)
    rows = {row[NAME].removesuffix(".png"): row for row in read_table(table, (NAME, PIXEL))}
    require_listed(images, rows, table, problems)
    return [
        SourceCase(
            f"test_{name}",
            PictureFile(path, _size(rows.get(name, {}))),
            None,
            f"test_{name.partition('_')[0]}",
            test=True,
        )
        for name, path in images.items()
    ]


def _table(root: Path, name: str) -> Path:
    """Beside the folders, as in the record, or inside the one it belongs to, where some unpack it."""
    inside = root / (TEST if name == TEST_TABLE else TRAINING) / name
    return inside if inside.exists() else root / name


def _size(row: Mapping[str, str]) -> PixelSize | None:
    millimetres = _number(row.get(PIXEL, ""))
    side = (millimetres or 0.0) * _UM_PER_MM
    return pixel_size(side, side, "table of HC18")


def _facts(row: Mapping[str, str]) -> dict[str, str | float]:
    circumference = _number(row.get(CIRCUMFERENCE, ""))
    return {} if circumference is None else {"head circumference in mm": circumference}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
