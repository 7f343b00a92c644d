"""The size of a pixel, and what the ways to tell it say: resolutions, spacings, OME-XML, Aperio."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

SCREEN_AND_PRINT_DPI = (0, 1, 72, 96, 100, 120, 144, 150, 200, 300, 600, 1200)
"""Values that programs write when they know nothing."""

LARGEST_UM = 10_000.0
"""A pixel of more than a centimetre is a mistake in the file."""

UM_PER_INCH, UM_PER_CM, _UM_PER_MM = 25_400.0, 10_000.0, 1_000.0
UM_PER_UNIT = {
    "nm": 1e-3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": _UM_PER_MM,
    "cm": UM_PER_CM,
    "inch": UM_PER_INCH,
}
_OME_SIZE = r'PhysicalSize{axis}="([^"]+)"'
_OME_UNIT = r'PhysicalSize{axis}Unit="([^"]+)"'
_APERIO = re.compile(r"\bMPP\s*=\s*([0-9.eE+-]+)")


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


def from_dpi(dpi_y: float, dpi_x: float, source: str) -> PixelSize | None:
    """From pixels an inch; None for those of screens and printers."""
    if any(abs(dpi - usual) < 0.5 for dpi in (dpi_y, dpi_x) for usual in SCREEN_AND_PRINT_DPI):
        return None
    return pixel_size(UM_PER_INCH / dpi_y, UM_PER_INCH / dpi_x, source)


def from_spacing_mm(y_mm: float, x_mm: float, source: str) -> PixelSize | None:
    """From a spacing in millimetres; None for (1, 1)."""
    return None if (y_mm, x_mm) == (1.0, 1.0) else pixel_size(y_mm * _UM_PER_MM, x_mm * _UM_PER_MM, source)


def from_ome_xml(text: str) -> PixelSize | None:
    """From the first PhysicalSizeX and PhysicalSizeY of an OME-XML text; micrometres where no unit is given."""
    sizes = {}
    for axis in "XY":
        size = re.search(_OME_SIZE.format(axis=axis), text)
        unit = re.search(_OME_UNIT.format(axis=axis), text)
        factor = UM_PER_UNIT.get(unit[1] if unit else "µm")
        if size is None or factor is None:
            return None
        sizes[axis] = float(size[1]) * factor
    return pixel_size(sizes["Y"], sizes["X"], "OME-XML")


def from_aperio(description: str) -> PixelSize | None:
    """From "MPP = 0.2520" in the description of an Aperio image."""
    match = _APERIO.search(description)
    return pixel_size(float(match[1]), float(match[1]), "Aperio MPP") if match else None
