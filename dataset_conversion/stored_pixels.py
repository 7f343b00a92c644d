"""Pixels of a raw data set as nnU-Net's readers see them, whatever our own reading would make of the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from medt_pipeline.core.errors import UserError, reason_of

PICTURE_ENDINGS = (".png", ".bmp", ".tif")
VOLUME_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".gipl")
"""Endings of files that nnU-Net reads and that can hold one 2D image."""


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """One file.

    Attributes:
        pixels: (C, H, W) as stored; a palette is expanded to three channels, 1-bit pixels are 0 and 1.
        palette: it was a palette picture.
        spacing: (y, x) in the file's unit; None for pictures, which have none for nnU-Net.
    """

    pixels: np.ndarray
    palette: bool = False
    spacing: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]


def read_stored(file: Path) -> StoredPixels:
    """Read an image or a label map.

    Raises:
        UserError: the file cannot be read or is no 2D image; the sentence says why and names no file.
    """
    try:
        if file.name.lower().endswith(VOLUME_ENDINGS):
            return _read_volume(file)
        return _read_picture(file)
    except UserError:
        raise
    # Every library raises whatever the broken byte makes it raise.
    except Exception as error:
        reason = reason_of(error, -1)
        raise UserError(f"cannot be read ({reason})") from None


def _read_picture(file: Path) -> StoredPixels:
    if file.suffix.lower() == ".tif":
        stored, palette = tifffile.imread(file), False
    else:
        with Image.open(file) as image:
            palette = image.mode == "P"
            stored = np.array(image.convert("RGB") if palette else image)
    if stored.ndim == 2:
        return StoredPixels(stored[np.newaxis].astype(np.uint8) if stored.dtype == bool else stored[np.newaxis])
    if stored.ndim != 3 or stored.shape[2] not in (3, 4):
        raise UserError(f"has the shape {stored.shape}, which is no gray or colour image")
    return StoredPixels(np.moveaxis(stored, 2, 0), palette)


def _read_volume(file: Path) -> StoredPixels:
    import SimpleITK as sitk  # noqa: N813 (takes 0.2 s to load and is needed for few sets)

    image = sitk.ReadImage(str(file))
    pixels = sitk.GetArrayFromImage(image)
    if pixels.ndim == 2:
        pixels = pixels[np.newaxis]
    if pixels.ndim != 3 or pixels.shape[0] != 1:
        raise UserError(f"holds {pixels.shape[0]} slices (shape {pixels.shape}), but this pipeline segments 2D images")
    x, y = image.GetSpacing()[:2]
    return StoredPixels(pixels, spacing=(y, x))


def write_mapped(file: Path, target: Path, mapping: dict[int, int]) -> None:
    """Write to `target` what `file` holds with the values changed by `mapping`; geometry is kept.

    The file must hold whole numbers in one channel, none above 65535.
    """
    stored = read_stored(file).pixels[0]
    mapped = stored.astype(np.uint8 if stored.max() <= np.iinfo(np.uint8).max else np.uint16)
    for value, label in mapping.items():
        mapped[stored == value] = label
    if not file.name.lower().endswith(VOLUME_ENDINGS):
        if file.suffix.lower() == ".tif":
            tifffile.imwrite(target, mapped)
        else:
            Image.fromarray(mapped).save(target)
        return
    import SimpleITK as sitk  # noqa: N813

    before = sitk.ReadImage(str(file))
    after = sitk.GetImageFromArray(mapped.reshape(sitk.GetArrayViewFromImage(before).shape))
    after.CopyInformation(before)
    sitk.WriteImage(after, str(target), useCompression=True)
