"""Reading and writing of 2D images and mask pictures, the same way everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path
from medt_pipeline.core.slices import SLICE_ENDINGS, read_slice, require_size

LOSSLESS_ENDINGS = (".png", ".bmp", ".tif", ".tiff", *SLICE_ENDINGS)
IMAGE_ENDINGS = (*LOSSLESS_ENDINGS, ".jpg", ".jpeg", ".jp2")
"""Endings that `read_image` accepts, in lower case; masks must be lossless."""
MOST_STRIPS = 2**18
"""Strips or tiles of a TIFF, each of which takes time though it may be absent; 24 megapixels in lines have 4,000."""
_TIFF_ENDINGS = (".tif", ".tiff")

Palette = Literal["colours", "indices"]
"""What is read of a picture with a palette."""


def ending_of(path: Path) -> str:
    """The ending in lower case, ".nii.gz" as one, "" where there is none."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def stem_of(path: Path) -> str:
    """The name without `ending_of` it: "a" for a.png and a.nii.gz."""
    return path.name[: len(path.name) - len(ending_of(path))]


def list_images(folder: Path, endings: tuple[str, ...] = IMAGE_ENDINGS) -> list[Path]:
    """Image files directly in `folder`, sorted by name; hidden files and other endings are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and ending_of(path) in endings and not path.name.startswith(".")
    )


def read_image(path: Path) -> np.ndarray:
    """Read one image as (H, W) gray or (H, W, 3) RGB.

    Palettes are expanded, 1-bit images become 0/255, CMYK and YCbCr become RGB, the orientation that a camera noted
    is applied, and an alpha channel is dropped if it is opaque everywhere. The dtype of the file is kept.

    Raises:
        UserError: the file is missing, is not a readable image, holds several pages or an alpha channel that hides
            pixels; a PNG has colours of 16 bits a channel, which Pillow would cut to 8 without a word.
    """
    return without_alpha(_reader_of(path)(path, "colours"), path)


def read_mask(path: Path) -> np.ndarray:
    """Read one mask picture as stored: (H, W) integers, or (H, W, 3) where classes are coded by colours.

    A palette image gives its indices, not its colours, because the index is the label. A colour picture whose three
    channels agree everywhere gives (H, W). Opaque alpha is dropped.

    Raises:
        UserError: as for `read_image`; the ending is that of a lossy format; the values are not integers.
    """
    if ending_of(path) not in LOSSLESS_ENDINGS:
        raise UserError(
            f"{path} cannot serve as a mask: {path.suffix} does not keep labels exactly; "
            f"save masks as one of {', '.join(LOSSLESS_ENDINGS)}."
        )
    mask = without_alpha(_reader_of(path)(path, "indices"), path)
    if mask.ndim == 3 and (mask[..., :1] == mask).all():
        mask = mask[..., 0]
    if not np.issubdtype(mask.dtype, np.integer):
        if not (mask == np.floor(mask)).all():
            raise UserError(f"{path} holds values that are not whole numbers; a mask must hold labels.")
        mask = mask.astype(np.int64)
    return mask


def read_palette(path: Path) -> list[str] | None:
    """Read the colours of a file that `read_mask` can read: "#RRGGBB" by index, None where it has no palette."""
    if ending_of(path) in SLICE_ENDINGS:
        return None
    if ending_of(path) in _TIFF_ENDINGS:
        with tifffile.TiffFile(path) as file:
            table = file.pages[0].colormap
        codes = None if table is None else (table >> 8).T.ravel().tolist()
    else:
        with _opened(path) as image:
            codes = image.getpalette("RGB") if image.mode == "P" else None
    if codes is None:
        return None
    return ["#{:02X}{:02X}{:02X}".format(*codes[start : start + 3]) for start in range(0, len(codes), 3)]


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write (H, W) uint8 or uint16, or (H, W, 3) uint8, as PNG, atomically.

    Raises:
        ValueError: another shape or dtype.
    """
    encoded = encode_png(picture)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded)


def encode_png(picture: np.ndarray) -> bytes:
    """(H, W) uint8 or uint16, or (H, W, 3) uint8, as the content of a PNG file.

    Each row is predicted by Paeth's filter and the rest packed by runs and Huffman codes: the size of Pillow's files on
    photographs and ultrasound, in a fifth of the time.

    Raises:
        ValueError: another shape or dtype.
    """
    wide = picture.dtype == np.uint16 and picture.ndim == 2
    if not wide and (picture.dtype != np.uint8 or picture.ndim not in (2, 3)):
        raise ValueError(f"cannot write {picture.dtype} of shape {picture.shape} as PNG")
    encoded = imagecodecs.png_encode(
        np.ascontiguousarray(picture),
        level=1,
        strategy=imagecodecs.PNG.STRATEGY.RLE,
        filter=imagecodecs.PNG.FILTER.PAETH,
    )
    return bytes(encoded)


def _reader_of(path: Path) -> Callable[[Path, Palette], np.ndarray]:
    if ending_of(path) in SLICE_ENDINGS:
        return lambda path, _: read_slice(path)
    return _read_tiff if ending_of(path) in _TIFF_ENDINGS else _read_with_pillow


_CUT_BY_PILLOW = ("RGB;16B", "RGBA;16B", "LA;16B")
"""Pixels of PNG files that Pillow would bring to 8 bits without a word."""


def _read_with_pillow(path: Path, palette: Palette = "colours") -> np.ndarray:
    with _opened(path) as opened:
        if any(tile.args in _CUT_BY_PILLOW for tile in opened.tile) or _is_deep_jpeg2000(path, opened):
            raise UserError(f"{path} holds colours of 16 bits a channel; save it with 8 bits a channel.")
        content = _plain_png(path, opened)
        if content is not None:
            # the same pixels in half the time
            return imagecodecs.png_decode(content)
        return from_pillow(opened, palette)


def from_pillow(opened: Image.Image, palette: Palette = "colours") -> np.ndarray:
    """An image of Pillow as (H, W) or (H, W, C), in the orientation that a camera noted; alpha is kept."""
    image = ImageOps.exif_transpose(opened)
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode == "P" and palette == "colours":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("CMYK", "YCbCr", "HSV", "LAB"):
        image = image.convert("RGB")
    return np.array(image)


def _is_deep_jpeg2000(path: Path, opened: Image.Image) -> bool:
    """Colours of more than 8 bits, told by the SIZ segment: ISO/IEC 15444-1, A.5.1."""
    if opened.format != "JPEG2000" or len(opened.getbands()) < 3:
        return False
    with path.open("rb") as file:
        segment = file.read(2**16).partition(b"\xff\x4f\xff\x51")[2]
    # behind the length, the profile and eight sizes: number of components, then three bytes each
    depth_of_first = segment[38] & 0x7F if len(segment) > 38 else 0
    return depth_of_first + 1 > 8


_MAY_TURN_THE_IMAGE = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
"""Chunks of PNG files that can hold the orientation of a camera."""


def _plain_png(path: Path, opened: ImageFile.ImageFile) -> bytes | None:
    """The file at `path` if it is a gray or RGB PNG of 8 bits without transparency and metadata, which need Pillow."""
    if opened.format != "PNG" or [tile.args for tile in opened.tile] not in (["L"], ["RGB"]):
        return None
    content = path.read_bytes()
    plain = "transparency" not in opened.info and not any(kind in _MAY_TURN_THE_IMAGE for kind in _png_chunks(content))
    return content if plain else None


def _png_chunks(content: bytes) -> Iterator[bytes]:
    """Kinds of the chunks of a PNG file, each of which is length, kind, data and checksum, behind a signature."""
    position = 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        yield content[position + 4 : position + 8]
        position += 12 + length


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open an image with Pillow; what goes wrong, also while its pixels are read, becomes a UserError."""
    try:
        with Image.open(path) as image:
            yield image
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, but an image file was expected.") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path} claims more pixels than is safe to read; cut it into tiles first.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, imagecodecs.PngError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace it or leave it out.") from None


def _read_tiff(path: Path, palette: Palette = "colours") -> np.ndarray:
    try:
        with tifffile.TiffFile(path) as file:
            if len(file.pages) > 1:
                raise UserError(f"{path} holds {len(file.pages)} pages; save the one that counts as its own file.")
            page = file.pages[0]
            require_size(page.shape, path)
            if prod(page.chunked) > MOST_STRIPS:
                raise UserError(f"{path} claims {prod(page.chunked)} strips or tiles; save it with fewer.")
            expand = page.photometric == tifffile.PHOTOMETRIC.PALETTE and palette == "colours"
            if expand or page.photometric in _LEFT_TO_PILLOW:
                return _read_with_pillow(path)
            return _white_is_high(page)
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except UserError:
        raise
    # tifffile and its codecs raise whatever the broken byte makes them raise: struct.error, TypeError, ValueError, …
    except Exception as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace it or leave it out.") from None


_LEFT_TO_PILLOW = (tifffile.PHOTOMETRIC.YCBCR, tifffile.PHOTOMETRIC.SEPARATED, tifffile.PHOTOMETRIC.CIELAB)
"""Colours that tifffile hands over as stored; palettes are decided apart."""


def _white_is_high(page: tifffile.TiffPage) -> np.ndarray:
    """Pixels with channels last, 1-bit as 0/255, and white as the highest value."""
    picture = page.asarray()
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
    if picture.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        picture = np.moveaxis(picture, 0, -1)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and np.issubdtype(picture.dtype, np.unsignedinteger):
        picture = np.iinfo(picture.dtype).max - picture
    return picture


def without_alpha(picture: np.ndarray, path: Path | str) -> np.ndarray:
    """A picture (H, W) or (H, W, 1 to 4) as (H, W) or (H, W, 3); `path` is its name for messages.

    Raises:
        UserError: it has another shape, or an alpha channel that hides pixels.
    """
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
