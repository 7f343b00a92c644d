"""The pictures of a DICOM file, one frame at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.encaps import encapsulate, generate_frames, get_frame
from pydicom.pixels import apply_color_lut, as_pixel_options, convert_color_space, get_decoder

from medt_pipeline.core.dicom.geometry import GEOMETRY_KEYWORDS, Region, header_pixel_size, tissue_region
from medt_pipeline.core.dicom.header import OpenedFile, opened
from medt_pipeline.core.dicom.limits import (
    check_compressed,
    check_form,
    check_length,
    check_palette,
    frame_count,
)
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.pixel_size import PixelSize

_COLOURS = ("Red", "Green", "Blue")
_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS),
    *(f"{colour}PaletteColorLookupTableData" for colour in _COLOURS),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in _COLOURS),
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *GEOMETRY_KEYWORDS,
)
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
_PLUGINS = {
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEG2000Lossless: "pillow",
    uid.JPEG2000: "pillow",
    uid.RLELossless: "pydicom",
}
"""What pydicom is to decode with, whatever else is installed: GDCM, which it prefers, ends the process on many broken
codestreams."""
_CODECS = {
    uid.JPEGExtended12Bit: "jpeg8",
    uid.JPEGLossless: "jpeg8",
    uid.JPEGLosslessSV1: "jpeg8",
    uid.JPEGLSLossless: "jpegls",
    uid.JPEGLSNearLossless: "jpegls",
    uid.HTJ2KLossless: "jpeg2k",
    uid.HTJ2KLosslessRPCL: "jpeg2k",
    uid.HTJ2K: "jpeg2k",
}
"""Codecs of imagecodecs for what pydicom would need further packages for."""


@dataclass(frozen=True)
class Clip:
    """What a DICOM file tells of its pictures; a single image is a clip of one frame.

    Attributes:
        region: its largest two-dimensional tissue region; None where the file tells none.
        pixel_size: size of a pixel; None where the file does not tell.
    """

    file: Path
    frames: int
    rows: int
    columns: int
    region: Region | None
    pixel_size: PixelSize | None


def read_clip(path: Path) -> Clip:
    """What the file tells of its pictures, checked against the bytes that are there; nothing is decoded.

    Raises:
        UserError: as for `header.opened`; the file has no pixels, other pixels than its header says, pixels beyond the
            limits (`limits.py`), or such as are not read.
    """
    with opened(path, _KEYWORDS) as file:
        _check(file)
        header = file.header
        region, size = tissue_region(header), header_pixel_size(header)
        return Clip(path, frame_count(header), int(header.Rows), int(header.Columns), region, size)


def read_frame(path: Path, index: int) -> np.ndarray:
    """The frame of this index, from 0, as a picture: (H, W) gray or (H, W, 3) RGB, uint8 or uint16.

    White is high, also where the file stores it low; palettes (as uint8) and YBR become RGB.

    Raises:
        UserError: as for `read_clip`; there is no such frame, it is broken, or its colours are of another kind.
    """
    with opened(path, _KEYWORDS) as file:
        return _shown(file, _decode(file, index))


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """All frames in their order, each as `read_frame` gives it; the file is read once and one frame is in memory.

    Raises:
        UserError: as for `read_frame`, when the frame that is broken is asked for.
    """
    with opened(path, _KEYWORDS) as file:
        _check(file)
        codestreams = None if file.syntax in _NATIVE else _codestreams(file)
        for index in range(frame_count(file.header)):
            yield _shown(file, _decode(file, index, codestreams))


def read_stored_frame(path: Path, index: int) -> np.ndarray:
    """The values of a frame as stored, for masks: (H, W) uint8 or uint16, where a palette gives its indices.

    Colours give (H, W, 3).

    Raises:
        UserError: as for `read_frame`.
    """
    with opened(path, _KEYWORDS) as file:
        return _decode(file, index)


def _check(file: OpenedFile) -> None:
    if file.pixels_at is None:
        raise UserError(f"{file.path} holds no pixels; leave it out.")
    check_form(file.header, str(file.path))
    codec = _CODECS.get(file.syntax)
    if codec is not None and not getattr(imagecodecs, codec.upper()).available:
        raise UserError(
            f"{file.path} is compressed as {file.syntax.name}, which the imagecodecs that is installed cannot decode; "
            "pip install --upgrade imagecodecs brings one that can."
        )
    if file.syntax in _NATIVE:
        check_length(file.pixel_bytes, file.header, str(file.path))
    elif codec is None and file.syntax not in _PLUGINS:
        raise UserError(
            f"{file.path} is stored as {file.syntax.name}, which is not read; export it as JPEG or without compression."
        )


def _shown(file: OpenedFile, stored: np.ndarray) -> np.ndarray:
    """A decoded frame with its palette applied, and white high."""
    kind = file.header.get("PhotometricInterpretation")
    if kind not in _PHOTOMETRIC:
        raise UserError(f"{file.path} stores its pixels as {kind}, which is not read; export it as RGB.")
    if kind == "PALETTE COLOR":
        return _through_palette(stored, file)
    if kind == "MONOCHROME1":
        return (2 ** int(file.header.BitsStored) - 1 - stored).astype(stored.dtype)
    return stored


def _decode(file: OpenedFile, index: int, codestreams: Iterator[bytes] | None = None) -> np.ndarray:
    """One frame in the byte order of this machine: YBR as RGB, palettes as indices.

    Args:
        codestreams: compressed frames, of which the next is the one of this index; None looks for it in the file.
    """
    _check(file)
    frames = frame_count(file.header)
    if not 0 <= index < frames:
        raise UserError(f"{file.path} has {frames} frames, so there is no frame {index + 1}.")
    try:
        frame = (
            _native_frame(file, index)
            if file.syntax in _NATIVE
            else _decompressed(file, _compressed_frame(file, index) if codestreams is None else next(codestreams))
        )
    except UserError:
        raise
    # decoders raise whatever the broken byte makes them raise
    except Exception:
        raise UserError(
            f"Frame {index + 1} of {file.path} cannot be decoded; export it again or leave it out."
        ) from None
    if frame.shape[:2] != (file.header.Rows, file.header.Columns):
        raise UserError(f"Frame {index + 1} of {file.path} is not of the size that its header tells; leave it out.")
    return frame.astype(frame.dtype.newbyteorder("="), copy=False)


def _native_frame(file: OpenedFile, index: int) -> np.ndarray:
    if file.header.BitsAllocated == 1:
        return _single_bits(file, index)
    options = as_pixel_options(file.header, pixel_keyword="PixelData", pixel_vr=file.pixel_kind)
    file.file.seek(file.pixels_at or 0)
    return get_decoder(file.syntax).as_array(file.file, index=index, **options)[0]


def _decompressed(file: OpenedFile, stored: bytes) -> np.ndarray:
    """The frame was taken from the file and looked at first; no decoder gets another."""
    options = as_pixel_options(file.header, pixel_keyword="PixelData", pixel_vr=file.pixel_kind)
    options.pop("extended_offsets", None)
    of_8_bits = file.header.get("BitsStored") == 8
    plugin = "pillow" if file.syntax == uid.JPEGExtended12Bit and of_8_bits else _PLUGINS.get(file.syntax)
    if plugin is not None:
        options["number_of_frames"] = 1
        decoder = get_decoder(file.syntax)
        return decoder.as_array(encapsulate([stored]), index=0, decoding_plugin=plugin, **options)[0]
    frame: np.ndarray = getattr(imagecodecs, f"{_CODECS[file.syntax]}_decode")(stored)
    kind = str(file.header.PhotometricInterpretation)
    return convert_color_space(frame, kind, "RGB") if kind.startswith("YBR_FULL") else frame


def _single_bits(file: OpenedFile, index: int) -> np.ndarray:
    """A frame of single bits, (H, W) of 0 and 1, which may begin and end within a byte.

    pydicom 3.0.2 reads too few bytes for some of those.
    """
    pixels = int(file.header.Rows * file.header.Columns)
    first, before = divmod(index * pixels, 8)
    file.file.seek((file.pixels_at or 0) + first)
    packed = np.frombuffer(file.file.read((before + pixels + 7) // 8), np.uint8)
    bits = np.unpackbits(packed, bitorder="little")[before : before + pixels]
    return bits.reshape(file.header.Rows, file.header.Columns)


def _compressed_frame(file: OpenedFile, index: int) -> bytes:
    frames = frame_count(file.header)
    file.file.seek(file.pixels_at or 0)
    try:
        frame = get_frame(file.file, index, number_of_frames=frames, extended_offsets=_extended_offsets(file))
    except Exception:
        raise _cut_off(file, index) from None
    check_compressed(frame, file.header, file.syntax == uid.RLELossless, str(file.path))
    return frame


def _codestreams(file: OpenedFile) -> Iterator[bytes]:
    """The compressed frames in their order; looking for each from the beginning would take the square of the time."""
    frames, index = frame_count(file.header), -1
    file.file.seek(file.pixels_at or 0)
    found = generate_frames(file.file, number_of_frames=frames, extended_offsets=_extended_offsets(file))
    while True:
        index += 1
        try:
            frame = next(found)
        except Exception:
            raise _cut_off(file, index) from None
        check_compressed(frame, file.header, file.syntax == uid.RLELossless, str(file.path))
        yield frame


def _extended_offsets(file: OpenedFile) -> tuple[bytes, bytes] | None:
    told = (file.header.get("ExtendedOffsetTable"), file.header.get("ExtendedOffsetTableLengths"))
    return None if told[0] is None or told[1] is None else (told[0], told[1])


def _cut_off(file: OpenedFile, index: int) -> UserError:
    return UserError(
        f"{file.path} has no frame {index + 1} of the {frame_count(file.header)} that its header tells; "
        "it is cut off: export it again or leave it out."
    )


def _through_palette(indices: np.ndarray, file: OpenedFile) -> np.ndarray:
    check_palette(file.header, file.syntax.is_little_endian, str(file.path))
    try:
        colours = apply_color_lut(indices, file.header)
    except Exception:
        raise UserError(f"{file.path} has no palette that can be read; export it as RGB.") from None
    # entries of 16 bits span 0 to 65535, but some devices fill only the lower byte
    if colours.max() > np.iinfo(np.uint8).max:
        colours >>= 8
    return colours[..., :3].astype(np.uint8)
