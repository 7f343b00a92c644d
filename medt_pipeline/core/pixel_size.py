"""The size of a pixel, where an image file tells it: resolution tags, OME-XML, Aperio, NIfTI, MHA, NRRD, DICOM."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import tifffile
from PIL import Image

from medt_pipeline.core.metaimage import read_metaimage_header
from medt_pipeline.core.nrrd import read_nrrd_header

SCREEN_AND_PRINT_DPI = (0, 1, 72, 96, 100, 120, 144, 150, 200, 300, 600, 1200)
"""Values that programs write when they know nothing."""

LARGEST_UM = 10_000.0
"""A pixel of more than a centimetre is a mistake in the file."""

_UM_PER_INCH, _UM_PER_CM, _UM_PER_MM = 25_400.0, 10_000.0, 1_000.0
_UM_PER_UNIT = {
    "nm": 1e-3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": _UM_PER_MM,
    "cm": _UM_PER_CM,
    "inch": _UM_PER_INCH,
}
_UM_PER_TIFF_UNIT = {2: _UM_PER_INCH, 3: _UM_PER_CM}
_OME_SIZE = r'PhysicalSize{axis}="([^"]+)"'
_OME_UNIT = r'PhysicalSize{axis}Unit="([^"]+)"'
_APERIO = re.compile(r"\bMPP\s*=\s*([0-9.eE+-]+)")
_MEDICAL_ENDINGS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")


@dataclass(frozen=True)
class PixelSize:
    """Micrometres a pixel.

    Attributes:
        y_um: height of a pixel.
        x_um: width of a pixel.
        source: what told it, e.g. "OME-XML".
    """

    y_um: float
    x_um: float
    source: str


def pixel_size(y_um: float, x_um: float, source: str) -> PixelSize | None:
    """The size if it can be one: both above 0 and up to `LARGEST_UM`; else None."""
    possible = all(math.isfinite(value) and 0 < value <= LARGEST_UM for value in (y_um, x_um))
    return PixelSize(float(y_um), float(x_um), source) if possible else None


def read_pixel_size(path: Path) -> PixelSize | None:
    """What the file at `path` tells, by its ending; None where it tells nothing or something impossible.

    Resolutions that are customary for screens and printers (`SCREEN_AND_PRINT_DPI`) count as nothing, and so does a
    spacing of (1, 1) in NIfTI, MHA and NRRD, which stands there when nobody has set it. A broken file tells nothing.
    """
    ending = path.name.lower()
    try:
        if ending.endswith((".tif", ".tiff")):
            return _from_tiff(path)
        if ending.endswith(_MEDICAL_ENDINGS):
            return _from_medical(path)
        if ending.endswith(".dcm"):
            return _from_dicom(path)
        return _from_picture(path)
    # Headers are a side matter here, and their readers raise whatever a broken byte makes them raise.
    except Exception:
        return None


def from_dpi(dpi_y: float, dpi_x: float, source: str) -> PixelSize | None:
    """From pixels an inch; None for those of screens and printers."""
    if any(abs(dpi - usual) < 0.5 for dpi in (dpi_y, dpi_x) for usual in SCREEN_AND_PRINT_DPI):
        return None
    return pixel_size(_UM_PER_INCH / dpi_y, _UM_PER_INCH / dpi_x, source)


def from_spacing_mm(y_mm: float, x_mm: float, source: str) -> PixelSize | None:
    """From a spacing in millimetres; None for (1, 1)."""
    return None if (y_mm, x_mm) == (1.0, 1.0) else pixel_size(y_mm * _UM_PER_MM, x_mm * _UM_PER_MM, source)


def from_ome_xml(text: str) -> PixelSize | None:
    """From the first PhysicalSizeX and PhysicalSizeY of an OME-XML text; micrometres where no unit is given."""
    sizes = {}
    for axis in "XY":
        size = re.search(_OME_SIZE.format(axis=axis), text)
        unit = re.search(_OME_UNIT.format(axis=axis), text)
        factor = _UM_PER_UNIT.get(unit[1] if unit else "µm")
        if size is None or factor is None:
            return None
        sizes[axis] = float(size[1]) * factor
    return pixel_size(sizes["Y"], sizes["X"], "OME-XML")


def from_aperio(description: str) -> PixelSize | None:
    """From "MPP = 0.2520" in the description of an Aperio image."""
    match = _APERIO.search(description)
    return pixel_size(float(match[1]), float(match[1]), "Aperio MPP") if match else None


def _from_tiff(path: Path) -> PixelSize | None:
    with tifffile.TiffFile(path) as file:
        tags = {tag.name: tag.value for tag in file.pages[0].tags.values()}
        image_unit = str((file.imagej_metadata or {}).get("unit", ""))
    description = str(tags.get("ImageDescription", ""))
    told = from_ome_xml(description) or from_aperio(description)
    if told or not {"XResolution", "YResolution"} <= tags.keys():
        return told
    y, x = (tags[name][0] / tags[name][1] for name in ("YResolution", "XResolution"))
    if image_unit in _UM_PER_UNIT:
        return pixel_size(_UM_PER_UNIT[image_unit] / y, _UM_PER_UNIT[image_unit] / x, "ImageJ")
    # 2 is what the standard assumes where the tag is missing.
    factor = _UM_PER_TIFF_UNIT.get(int(tags.get("ResolutionUnit", 2)))
    return from_dpi(y * _UM_PER_INCH / factor, x * _UM_PER_INCH / factor, "TIFF resolution") if factor else None


def _from_picture(path: Path) -> PixelSize | None:
    with Image.open(path) as image:
        # Pillow gives it only where the unit is a length.
        dpi = image.info.get("dpi")
        return from_dpi(dpi[1], dpi[0], f"{image.format} resolution") if dpi else None


def _from_medical(path: Path) -> PixelSize | None:
    ending = path.suffix.lower()
    # those with which ITK is not trusted
    if ending in (".mha", ".nrrd"):
        spacing = read_metaimage_header(path).spacing if ending == ".mha" else read_nrrd_header(path).spacing
        return None if spacing is None else from_spacing_mm(spacing[1], spacing[0], "spacing in the file")
    import SimpleITK as sitk  # noqa: N813 (takes 0.2 s to load and is needed for few sets)

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    x, y = reader.GetSpacing()[:2]
    return from_spacing_mm(y, x, "spacing in the file")


def _from_dicom(path: Path) -> PixelSize | None:
    # takes 0.3 s to load, and knows this file
    from medt_pipeline.core.dicom.geometry import read_dicom_pixel_size

    return read_dicom_pixel_size(path)
