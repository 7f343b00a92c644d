"""The size of a pixel, where an image file tells it: resolution tags, OME-XML, Aperio, NIfTI, MHA, NRRD, DICOM."""

from __future__ import annotations

from pathlib import Path

import tifffile
from PIL import Image

from medt_pipeline.core.metaimage import read_metaimage_header
from medt_pipeline.core.nrrd import read_nrrd_header
from medt_pipeline.core.pixel_size import (
    UM_PER_CM,
    UM_PER_INCH,
    UM_PER_UNIT,
    PixelSize,
    from_aperio,
    from_dpi,
    from_ome_xml,
    from_spacing_mm,
    pixel_size,
)

_UM_PER_TIFF_UNIT = {2: UM_PER_INCH, 3: UM_PER_CM}
_MEDICAL_ENDINGS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")


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


def _from_tiff(path: Path) -> PixelSize | None:
    with tifffile.TiffFile(path) as file:
        tags = {tag.name: tag.value for tag in file.pages[0].tags.values()}
        image_unit = str((file.imagej_metadata or {}).get("unit", ""))
    description = str(tags.get("ImageDescription", ""))
    told = from_ome_xml(description) or from_aperio(description)
    if told or not {"XResolution", "YResolution"} <= tags.keys():
        return told
    y, x = (tags[name][0] / tags[name][1] for name in ("YResolution", "XResolution"))
    if image_unit in UM_PER_UNIT:
        return pixel_size(UM_PER_UNIT[image_unit] / y, UM_PER_UNIT[image_unit] / x, "ImageJ")
    # 2 is what the standard assumes where the tag is missing.
    factor = _UM_PER_TIFF_UNIT.get(int(tags.get("ResolutionUnit", 2)))
    return from_dpi(y * UM_PER_INCH / factor, x * UM_PER_INCH / factor, "TIFF resolution") if factor else None


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
    # takes 0.3 s to load
    from medt_pipeline.core.dicom.geometry import read_dicom_pixel_size

    return read_dicom_pixel_size(path)
