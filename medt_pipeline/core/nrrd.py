"""NRRD files (.nrrd) as 3D Slicer and ITK write them, read as data, for the reasons of `core.metaimage`.

Format: https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.flat_pixels import header_problem, read_flat_pixels

MOST_AXES = 5
MOST_HEADER_BYTES = 2**20
"""Slicer writes a dozen lines a segment."""
_KINDS_OF_TYPE = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPES = {name: dtype for dtype, names in _KINDS_OF_TYPE.items() for name in names.split(", ")}
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
"""Signs that bring a space to that of ITK, to which all others count as equal."""
_ALONG_SPACE = ("domain", "space")
_LAYERS = "list"
_VECTOR = re.compile(r"none|\([^()]*\)")


@dataclass(frozen=True)
class NrrdHeader:
    """What the header of an NRRD says.

    Attributes:
        shape: of the pixels, slowest axis first: (H, W) or (slices, H, W).
        channels: values a pixel.
        layers: whether the values of a pixel are layers of segments that may overlap, and not colours.
        dtype: of a value as stored.
        compressed: whether gzip packed the pixels.
        steps: from a pixel to the next along each axis, fastest first, as vectors in millimetres, x to the left and y
            to the back; None where the header does not tell.
        first: position of the first pixel in the same space.
        notes: further entries, such as {"Segment0_Name": "gland"}.
        start: bytes before the pixels.
    """

    shape: tuple[int, ...]
    channels: int
    layers: bool
    dtype: np.dtype
    compressed: bool
    steps: tuple[tuple[float, ...], ...] | None
    first: tuple[float, ...]
    notes: Mapping[str, str]
    start: int

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Size of a pixel along each axis, fastest first; None where the header does not tell."""
        return None if self.steps is None else tuple(float(np.linalg.norm(step)) for step in self.steps)


def read_nrrd_header(path: Path) -> NrrdHeader:
    """Read the header of a file that holds its own pixels.

    Raises:
        UserError: it is not such a header, or says what cannot be.
    """
    fields, notes, start = _fields(path)
    # the pixels of another file are none of this one's business
    if {"data file", "datafile"} & fields.keys():
        raise UserError(f"{path} does not hold its own pixels (data file); save it as one .nrrd file.")
    try:
        return _parsed(fields, notes, start)
    except (KeyError, ValueError, OverflowError) as error:
        raise header_problem(path, error) from None


def read_nrrd_pixels(path: Path, header: NrrdHeader) -> np.ndarray:
    """The pixels, (*shape) or (*shape, channels), in the byte order of this machine.

    Raises:
        ValueError, zlib.error: as `read_flat_pixels`.
    """
    shape = header.shape if header.channels == 1 else (*header.shape, header.channels)
    return read_flat_pixels(path, header.start, shape, header.dtype, header.compressed)


def _parsed(fields: Mapping[str, str], notes: Mapping[str, str], start: int) -> NrrdHeader:
    sizes = [int(size) for size in fields["sizes"].split()]
    if len(sizes) != int(fields["dimension"]) or not 2 <= len(sizes) <= MOST_AXES or min(sizes) < 1:
        raise ValueError(f"sizes are {fields['sizes']:.40} for dimension {fields['dimension']:.40}")
    kinds = fields.get("kinds", "").lower().split()
    several = len(kinds) == len(sizes) and kinds[0] not in (*_ALONG_SPACE, "???", "none")
    channels, along = (sizes[0], sizes[1:]) if several else (1, sizes)
    if len(along) < 2:
        raise ValueError("it has one axis of pixels")
    for field in ("line skip", "byte skip", "lineskip", "byteskip"):
        if fields.get(field, "0") != "0":
            raise ValueError(f"{field} is not 0")
    dtype = np.dtype(_TYPES[fields["type"].lower()])
    if dtype.itemsize > 1:
        dtype = np.dtype({"little": "<", "big": ">"}[fields["endian"].lower()] + dtype.str[1:])
    packing = fields["encoding"].lower()
    if packing not in ("raw", "gzip", "gz"):
        raise ValueError(f"its encoding is {packing:.40}, not raw or gzip")
    steps, first = _placed(fields, len(along))
    layers = several and kinds[0] == _LAYERS
    return NrrdHeader(tuple(reversed(along)), channels, layers, dtype, packing != "raw", steps, first, notes, start)


def _placed(fields: Mapping[str, str], axes: int) -> tuple[tuple[tuple[float, ...], ...] | None, tuple[float, ...]]:
    """Steps along the axes of pixels, and the position of the first, in the space of ITK."""
    vectors = [_numbers(one) for one in _VECTOR.findall(fields.get("space directions", "")) if one != "none"]
    origin = _numbers(fields.get("space origin", ""))
    if len(vectors) != axes or len({len(one) for one in vectors}) != 1:
        return None, (0.0, 0.0, 0.0)
    signs = _TO_LPS.get(fields.get("space", "").lower(), (1,) * len(vectors[0]))
    if len(origin) != len(vectors[0]) or len(signs) != len(origin):
        origin, signs = (0.0,) * len(vectors[0]), (1,) * len(vectors[0])
    turned = [tuple(sign * one for sign, one in zip(signs, vector, strict=True)) for vector in (*vectors, origin)]
    return tuple(turned[:-1]), turned[-1]


def _numbers(text: str) -> tuple[float, ...]:
    numbers = tuple(float(one) for one in text.strip("()").split(",") if one.strip())
    if not np.isfinite(numbers).all():
        raise ValueError(f"{text:.40} is not finite")
    return numbers


def _fields(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """Fields ("type: short"), names in lower case, further entries ("name:=value"), and the bytes before the pixels."""
    with path.open("rb") as file:
        content = file.read(MOST_HEADER_BYTES)
    head, blank, _ = content.partition(b"\n\n")
    other, dos_blank, _ = content.partition(b"\r\n\r\n")
    if dos_blank and len(other) < len(head):
        head, blank = other, dos_blank
    if not content.startswith(b"NRRD") or not blank:
        raise UserError(f"{path} cannot be read as an image (no NRRD header); replace it or leave it out.")
    fields: dict[str, str] = {}
    notes: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").splitlines()[1:]:
        key, is_note, value = line.partition(":=")
        if is_note:
            notes.setdefault(key.strip(), value.strip())
        elif not line.startswith("#"):
            key, _, value = line.partition(":")
            fields.setdefault(key.strip().lower(), value.strip())
    return fields, notes, len(head) + len(blank)
