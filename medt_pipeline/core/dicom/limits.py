"""What a DICOM file may claim: forms and sizes are checked before a decoder or a palette is allowed to believe them."""

from __future__ import annotations

import struct

from pydicom import Dataset

from medt_pipeline.core.errors import UserError

MOST_PIXELS = 2**25
"""Rows × columns of one frame: 8192 × 4096. An ultrasound frame has one or two million."""
MOST_FRAMES = 20_000
"""Frames of one file: eleven minutes at 30 frames a second."""
MOST_COLOURS = 2**16
"""Entries of a palette; the standard allows no more."""

_JPEG_START, _J2K_START, _CODESTREAM_END = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd9"
_TABLES = (0xC4, 0xC8, 0xCC)
"""Among the JPEG markers C0 to CF, those that do not start a frame."""
_JPEG_LS = 0xF7
_SLACK, _PADDING = 65_536, 64
"""Bytes by which a compressed frame may exceed its pixels; bytes after a codestream's end that are overlooked."""
_DISCRETE, _LINEAR = 0, 1
_SEGMENTED = tuple(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))


def check_form(header: Dataset, name: str) -> None:
    """Refuse a picture whose rows, columns, frames, samples or bits are missing or out of bounds.

    Raises:
        UserError: they are; the sentence begins with `name`.
    """
    rows, columns = header.get("Rows"), header.get("Columns")
    if not all(isinstance(number, int) and number > 0 for number in (rows, columns)):
        raise UserError(f"{name} does not tell its rows and columns; export it again or leave it out.")
    if rows * columns > MOST_PIXELS:
        raise UserError(
            f"{name} claims frames of {columns}×{rows} pixels; frames of up to {MOST_PIXELS} pixels are read."
        )
    if not 1 <= frame_count(header) <= MOST_FRAMES:
        raise UserError(f"{name} claims a number of frames that is not between 1 and {MOST_FRAMES}; cut it in parts.")
    samples, bits = header.get("SamplesPerPixel"), header.get("BitsAllocated")
    signed = "signed " if header.get("PixelRepresentation") else ""
    if samples not in (1, 3) or bits not in (1, 8, 16) or signed:
        raise UserError(
            f"{name} stores {samples} {signed}samples a pixel of {bits} bits; 1 or 3 unsigned ones of 8 or 16 are read."
        )


def frame_count(header: Dataset) -> int:
    """Number of frames; 1 where the header does not tell, 0 where it tells nonsense."""
    told = header.get("NumberOfFrames")
    try:
        return 1 if told in (None, "") else int(told)
    except (TypeError, ValueError):
        return 0


def frame_bytes(header: Dataset) -> float:
    """Bytes of one frame without compression; a frame of single bits may end within a byte."""
    samples = 2 if header.get("PhotometricInterpretation") == "YBR_FULL_422" else header.SamplesPerPixel
    return float(header.Rows * header.Columns * samples * header.BitsAllocated / 8)


def check_length(there: int, header: Dataset, name: str) -> None:
    """Refuse pixels without compression that are fewer bytes than the header says, or more by a row of the picture.

    Raises:
        UserError: they are; the sentence begins with `name`.
    """
    one = frame_bytes(header)
    expected = one * frame_count(header)
    if not expected <= there < expected + max(one / header.Rows, 2):
        raise UserError(
            f"{name} holds {there} bytes of pixels where its rows, columns and frames make {int(expected)}; "
            "it is cut off or its header is wrong: export it again or leave it out."
        )


def check_compressed(frame: bytes, header: Dataset, run_lengths: bool, name: str) -> None:
    """Refuse a compressed frame that would unfold into something else than the header says, or that is cut off.

    Args:
        run_lengths: it is compressed by run lengths, which tell no size but unfold to at most 64 times their own; else
            it must be a codestream of JPEG, JPEG-LS or JPEG 2000.

    Raises:
        UserError: it would, or it is; the sentence begins with `name`.
    """
    if len(frame) > 2 * frame_bytes(header) + _SLACK:
        raise UserError(f"{name} holds a compressed frame larger than its pixels, so its header must be wrong.")
    form = None if run_lengths else codestream_form(frame)
    ends = run_lengths or (form is not None and _CODESTREAM_END in frame[-_PADDING:])
    if not frame or not ends:
        raise UserError(f"{name} holds a compressed frame that is cut off or broken; export it again or leave it out.")
    if form is not None and form != (header.Rows, header.Columns, header.SamplesPerPixel):
        raise UserError(
            f"{name} holds compressed frames of {form[1]}×{form[0]} pixels of {form[2]} samples, but its header says "
            f"{header.Columns}×{header.Rows} of {header.SamplesPerPixel}; export it again or leave it out."
        )


def codestream_form(frame: bytes) -> tuple[int, int, int] | None:
    """(height, width, samples) that a JPEG, JPEG-LS or JPEG 2000 codestream tells of itself; None for anything else."""
    try:
        if frame.startswith(_J2K_START):
            return _j2k_form(frame)
        return _jpeg_form(frame) if frame.startswith(_JPEG_START) else None
    except (struct.error, IndexError):
        return None


def check_palette(header: Dataset, little_endian: bool, name: str) -> None:
    """Refuse a palette in segments (DICOM PS3.3, C.7.9.2) that would unfold into more entries than one may have.

    Indirect segments, which repeat others, are refused, since they can nest.

    Raises:
        UserError: it would, or it has indirect segments; the sentence begins with `name`.
    """
    descriptor = header.get("RedPaletteColorLookupTableDescriptor") or (0, 0, 16)
    width, letter = (1, "B") if descriptor[2] == 8 else (2, "H")
    for keyword in _SEGMENTED:
        data = header.get(keyword) or b""
        number = len(data) // width
        values = struct.unpack(f"{'<' if little_endian else '>'}{number}{letter}", data[: number * width])
        if not _unfolds(values):
            raise UserError(f"{name} has a palette in segments of a form that is not read; export it as RGB.")


def _unfolds(values: tuple[int, ...]) -> bool:
    place = entries = 0
    while place + 1 < len(values) and entries <= MOST_COLOURS:
        kind, length = values[place], values[place + 1]
        if kind not in (_DISCRETE, _LINEAR):
            return False
        entries += length
        place += 2 + (length if kind == _DISCRETE else 1)
    return entries <= MOST_COLOURS


def _jpeg_form(frame: bytes) -> tuple[int, int, int] | None:
    place = len(_JPEG_START)
    while frame[place] == 0xFF:
        marker = frame[place + 1]
        length, _, height, width, samples = struct.unpack_from(">HBHHB", frame, place + 2)
        if (0xC0 <= marker <= 0xCF and marker not in _TABLES) or marker == _JPEG_LS:
            return height, width, samples
        place += 2 + length
    return None


def _j2k_form(frame: bytes) -> tuple[int, int, int]:
    # the SIZ segment: length, capabilities, far corner and origin of the image, size and origin of its tiles, samples
    # (ISO 15444-1, A.5.1)
    right, bottom, left, top, *_, samples = struct.unpack_from(">8IH", frame, len(_J2K_START) + 4)
    return bottom - top, right - left, samples
