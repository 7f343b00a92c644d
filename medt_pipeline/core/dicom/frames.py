"""The pictures of a DICOM file, one frame at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import uid
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_color_lut, as_pixel_options, get_decoder
from pydicom.pixels.decoders.base import Decoder

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
_PLUGINS = ("pillow", "pyjpegls", "pylibjpeg", "pydicom")
"""Decoders in the order of preference. Pillow is always installed, so pixels do not depend on what else is. GDCM is
missing because it ends the process on many broken codestreams, lossless JPEG above all."""


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
            limits (`limits.py`), or such as no decoder that is installed can read.
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
        kind = file.header.get("PhotometricInterpretation")
        if kind not in _PHOTOMETRIC:
            raise UserError(f"{path} stores its pixels as {kind}, which is not read; export it as RGB.")
        stored = _decode(file, index)
        if kind == "PALETTE COLOR":
            return _through_palette(stored, file)
        if kind == "MONOCHROME1":
            return (2 ** int(file.header.BitsStored) - 1 - stored).astype(stored.dtype)
        return stored


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
    if _decoder(file).is_native:
        check_length(file.pixel_bytes, file.header, str(file.path))


def _decoder(file: OpenedFile) -> Decoder:
    """pydicom's decoder for the transfer syntax of the file."""
    try:
        decoder = get_decoder(file.syntax)
    except NotImplementedError:
        raise UserError(
            f"{file.path} is stored as {file.syntax.name}, which is not read; export it as JPEG or without compression."
        ) from None
    if decoder.is_encapsulated and not _plugins(decoder):
        raise UserError(
            f"{file.path} is compressed as {file.syntax.name}, for which no decoder is installed; "
            "pip install 'medt_pipeline[dicom]' brings it."
        )
    return decoder


def _plugins(decoder: Decoder) -> list[str]:
    return [plugin for plugin in _PLUGINS if plugin in decoder.available_plugins]


def _decode(file: OpenedFile, index: int) -> np.ndarray:
    """One frame as pydicom hands it over: YBR as RGB, palettes as indices."""
    _check(file)
    options = as_pixel_options(file.header, pixel_keyword="PixelData", pixel_vr=file.pixel_kind)
    offsets = options.pop("extended_offsets", None)
    frames = frame_count(file.header)
    if not 0 <= index < frames:
        raise UserError(f"{file.path} has {frames} frames, so there is no frame {index + 1}.")
    decoder = _decoder(file)
    if file.header.BitsAllocated == 1 and decoder.is_native:
        return _single_bits(file, index)
    file.file.seek(file.pixels_at or 0)
    source: BinaryIO | bytes = file.file
    place, plugins = index, [""]
    if decoder.is_encapsulated:
        # the decoder gets the one frame that was looked at
        source, place = encapsulate([_compressed_frame(file, index, offsets)]), 0
        options["number_of_frames"] = 1
        plugins = _plugins(decoder)
    for plugin in plugins:
        try:
            read = decoder.as_array(source, index=place, decoding_plugin=plugin, **options)[0]
            return read.astype(read.dtype.newbyteorder("="), copy=False)
        # Decoders raise whatever the broken byte makes them raise; the next one may be able to read it.
        except Exception:
            continue
    raise UserError(f"Frame {index + 1} of {file.path} cannot be decoded; export it again or leave it out.")


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


def _compressed_frame(file: OpenedFile, index: int, offsets: tuple[bytes, bytes] | None) -> bytes:
    frames = frame_count(file.header)
    try:
        frame = get_frame(file.file, index, number_of_frames=frames, extended_offsets=offsets)
    except Exception:
        raise UserError(
            f"{file.path} has no frame {index + 1} of the {frames} that its header tells; "
            "it is cut off: export it again or leave it out."
        ) from None
    check_compressed(frame, file.header, file.syntax == uid.RLELossless, str(file.path))
    return frame


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
