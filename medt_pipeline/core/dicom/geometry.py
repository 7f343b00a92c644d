"""Where in an ultrasound picture the ultrasound is, and how large its pixels are: read off a DICOM header."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from medt_pipeline.core.dicom.header import items, read_header
from medt_pipeline.core.pixel_size import PixelSize, pixel_size

_TWO_DIMENSIONAL, _TISSUE, _CENTIMETRES = 1, 1, 3
"""Values of Region Spatial Format, Region Data Type and Physical Units X/Y Direction (DICOM PS3.3, C.8.5.5)."""
_UM_PER_CM, _UM_PER_MM = 10_000.0, 1_000.0
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
"""In the order in which they count; each holds the distance of rows, then that of columns, in mm."""
GEOMETRY_KEYWORDS = ("Rows", "Columns", "SequenceOfUltrasoundRegions", *_SPACINGS)
"""Elements of a header that the functions here look at."""


@dataclass(frozen=True)
class Region:
    """The rectangle [top, bottom) × [left, right) of a picture, in pixels, that shows tissue.

    Attributes:
        size: size of its pixels, None where the header gives it in other units than centimetres.
    """

    top: int
    left: int
    bottom: int
    right: int
    size: PixelSize | None = None

    @property
    def area(self) -> int:
        """Its pixels."""
        return (self.bottom - self.top) * (self.right - self.left)

    def slices(self) -> tuple[slice, slice]:
        """Index of its pixels in an array (H, W) or (H, W, C)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def read_dicom_pixel_size(path: Path) -> PixelSize | None:
    """`header_pixel_size` of the file.

    Raises:
        UserError: as for `header.opened`.
    """
    return header_pixel_size(read_header(path, GEOMETRY_KEYWORDS))


def tissue_region(header: Dataset) -> Region | None:
    """The largest two-dimensional tissue region of the Sequence of Ultrasound Regions; None where there is none.

    Corners outside the picture are moved to its border, because some devices write the number of columns for the last
    column. Of regions of the same area the first counts.
    """
    regions = [_region(item, header) for item in items(header, "SequenceOfUltrasoundRegions")]
    found = [region for region in regions if region is not None]
    return max(found, key=lambda region: region.area, default=None)


def header_pixel_size(header: Dataset) -> PixelSize | None:
    """That of `tissue_region`, else Pixel Spacing, Imager Pixel Spacing, Nominal Scanned Pixel Spacing; else None."""
    region = tissue_region(header)
    if region is not None and region.size is not None:
        return region.size
    sizes = (_from_spacing(header.get(keyword), keyword) for keyword in _SPACINGS)
    return next((size for size in sizes if size is not None), None)


def _region(item: Dataset, header: Dataset) -> Region | None:
    corners = [item.get(f"RegionLocation{corner}") for corner in ("MinY0", "MinX0", "MaxY1", "MaxX1")]
    shows_tissue = (item.get("RegionSpatialFormat"), item.get("RegionDataType")) == (_TWO_DIMENSIONAL, _TISSUE)
    if not shows_tissue or not all(isinstance(corner, int) for corner in corners):
        return None
    top, left = max(corners[0], 0), max(corners[1], 0)
    # the last row and column belong to the region
    bottom, right = min(corners[2] + 1, header.Rows), min(corners[3] + 1, header.Columns)
    return Region(top, left, bottom, right, _region_size(item)) if top < bottom and left < right else None


def _region_size(item: Dataset) -> PixelSize | None:
    units = (item.get("PhysicalUnitsXDirection"), item.get("PhysicalUnitsYDirection"))
    if units != (_CENTIMETRES, _CENTIMETRES):
        return None
    # the sign tells the direction
    y, x = (abs(_number(item.get(f"PhysicalDelta{axis}"))) * _UM_PER_CM for axis in "YX")
    return pixel_size(y, x, "DICOM ultrasound region")


def _from_spacing(spacing: object, keyword: str) -> PixelSize | None:
    values = list(spacing) if isinstance(spacing, Sequence) else []
    if len(values) != 2:
        return None
    y, x = (_number(value) * _UM_PER_MM for value in values)
    return pixel_size(y, x, f"DICOM {keyword}")


def _number(value: object) -> float:
    """The value if it is one number; devices leave it empty or write several."""
    return float(value) if isinstance(value, (int, float)) else math.nan
