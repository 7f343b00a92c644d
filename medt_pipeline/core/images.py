"""Reading and writing of 2D images and mask pictures, the same way everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path

LOSSLESS_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
IMAGE_ENDINGS = (*LOSSLESS_ENDINGS, ".jpg", ".jpeg")
"""Endings that `read_image` accepts, in lower case; masks must be lossless."""


def list_images(folder: Path, endings: tuple[str, ...] = IMAGE_ENDINGS) -> list[Path]:
    """Image files directly in `folder`, sorted by name; hidden files and other endings are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in endings and not path.name.startswith(".")
    )


def read_image(path: Path) -> np.ndarray:
    """Read one image as (H, W) gray or (H, W, 3) RGB.

    Palettes are expanded, 1-bit images become 0/255, CMYK and YCbCr become RGB, the orientation that a camera noted
    is applied, and an alpha channel is dropped if it is opaque everywhere. The dtype of the file is kept.

    Raises:
        UserError: the file is missing, is not a readable image, holds several pages or an alpha channel that hides
            pixels.
    """
    picture = _read_tiff(path) if path.suffix.lower() in (".tif", ".tiff") else _read_with_pillow(path)
    return _without_alpha(picture, path)


def read_mask(path: Path) -> np.ndarray:
    """Read one mask picture as stored: (H, W) integers, or (H, W, 3) where classes are coded by colours.

    A palette image gives its indices, not its colours, because the index is the label. A colour picture whose three
    channels agree everywhere gives (H, W). Opaque alpha is dropped.

    Raises:
        UserError: as for `read_image`; the ending is that of a lossy format; the values are not integers.
    """
    if path.suffix.lower() not in LOSSLESS_ENDINGS:
        raise UserError(
            f"{path} cannot serve as a mask: {path.suffix} does not keep labels exactly; "
            f"save masks as one of {', '.join(LOSSLESS_ENDINGS)}."
        )
    is_tiff = path.suffix.lower() in (".tif", ".tiff")
    mask = _without_alpha(_read_tiff(path) if is_tiff else _read_with_pillow(path, palette="indices"), path)
    if mask.ndim == 3 and (mask[..., :1] == mask).all():
        mask = mask[..., 0]
    if not np.issubdtype(mask.dtype, np.integer):
        if not (mask == np.floor(mask)).all():
            raise UserError(f"{path} holds values that are not whole numbers; a mask must hold labels.")
        mask = mask.astype(np.int64)
    return mask


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write (H, W) uint8 or uint16, or (H, W, 3) uint8, as PNG, atomically.

    Raises:
        ValueError: another shape or dtype.
    """
    wide = picture.dtype == np.uint16 and picture.ndim == 2
    if not wide and (picture.dtype != np.uint8 or picture.ndim not in (2, 3)):
        raise ValueError(f"cannot write {picture.dtype} of shape {picture.shape} as PNG")
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _read_with_pillow(path: Path, palette: Literal["colours", "indices"] = "colours") -> np.ndarray:
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode == "1":
                image = image.convert("L")
            elif image.mode == "P" and palette == "colours":
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            elif image.mode in ("CMYK", "YCbCr", "HSV", "LAB"):
                image = image.convert("RGB")
            return np.array(image)
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, but an image file was expected.") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path} claims more pixels than is safe to read; cut it into tiles first.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace it or leave it out.") from None


def _read_tiff(path: Path) -> np.ndarray:
    try:
        with tifffile.TiffFile(path) as file:
            if len(file.pages) > 1:
                raise UserError(f"{path} holds {len(file.pages)} pages; save the one that counts as its own file.")
            if file.pages[0].photometric in (tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.YCBCR):
                return _read_with_pillow(path)
            picture = file.asarray()
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except UserError:
        raise
    # tifffile and its codecs raise whatever the broken byte makes them raise: struct.error, TypeError, ValueError, …
    except Exception as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace it or leave it out.") from None
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
    return picture


def _without_alpha(picture: np.ndarray, path: Path) -> np.ndarray:
    if picture.ndim == 2:
        return picture
    if picture.ndim != 3 or picture.shape[2] not in (1, 2, 3, 4):
        raise UserError(f"{path} has the shape {picture.shape}; one gray or RGB image was expected.")
    channels = picture.shape[2]
    if channels in (2, 4):
        opaque = np.iinfo(picture.dtype).max if np.issubdtype(picture.dtype, np.integer) else 1
        if (picture[..., -1] != opaque).any():
            raise UserError(
                f"{path} has an alpha channel that hides pixels, so its colours are not defined; "
                "save it without transparency."
            )
        picture = picture[..., :-1]
    return picture[..., 0] if picture.shape[2] == 1 else picture
