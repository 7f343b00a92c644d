"""MetaImage files (.mha), read as data: ITK believes their headers, and crashes or never ends on broken ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.flat_pixels import header_problem, read_flat_pixels

MOST_CHANNELS = 64
MOST_AXES = 4
MOST_HEADER_BYTES = 2**16
_TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_ULONG": "u4",
    "MET_LONG": "i4",
    "MET_ULONG_LONG": "u8",
    "MET_LONG_LONG": "i8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""NumPy's names of the element types of MetaIO (metaTypes.h), where a long has 4 bytes."""


@dataclass(frozen=True)
class MetaImageHeader:
    """What the header of a MetaImage says.

    Attributes:
        shape: of the pixels, slowest axis first: (H, W) or (slices, H, W).
        channels: values a pixel.
        dtype: of a value as stored.
        compressed: whether zlib packed the pixels.
        spacing: size of a pixel along each axis, fastest axis first; None where the header does not tell.
        placement: offset, direction and spacing, to be compared with another file's.
        start: bytes before the pixels.
    """

    shape: tuple[int, ...]
    channels: int
    dtype: np.dtype
    compressed: bool
    spacing: tuple[float, ...] | None
    placement: tuple[float, ...]
    start: int


def read_metaimage_header(path: Path) -> MetaImageHeader:
    """Read the header of a file that holds its own pixels.

    Raises:
        UserError: it is not such a header, or says what cannot be.
    """
    fields, start = _fields(path)
    # the pixels of another file are none of this one's business
    if fields.get("elementdatafile") != "LOCAL":
        raise UserError(f"{path} does not hold its own pixels (ElementDataFile = LOCAL); save it as one .mha file.")
    try:
        return _parsed(fields, start)
    except (KeyError, ValueError, OverflowError) as error:
        raise header_problem(path, error) from None


def read_metaimage_pixels(path: Path, header: MetaImageHeader) -> np.ndarray:
    """The pixels, (*shape) or (*shape, channels), in the byte order of this machine.

    Raises:
        ValueError, zlib.error: as `read_flat_pixels`.
    """
    shape = header.shape if header.channels == 1 else (*header.shape, header.channels)
    return read_flat_pixels(path, header.start, shape, header.dtype, header.compressed)


def _parsed(fields: dict[str, str], start: int) -> MetaImageHeader:
    axes = _within("NDims", int(fields["ndims"]), 2, MOST_AXES)
    lengths = [_within("DimSize", int(length), 1, 2**31) for length in fields["dimsize"].split()]
    if len(lengths) != axes:
        raise ValueError(f"DimSize has {len(lengths)} numbers for {axes} axes")
    if not _flag(fields, ("binarydata",), True):
        raise ValueError("its pixels are written as text")
    if fields.get("headersize", "0") != "0":
        raise ValueError("HeaderSize is not 0")
    big = _flag(fields, ("binarydatabyteordermsb", "elementbyteordermsb"), False)
    kind = fields["elementtype"].removesuffix("_ARRAY")
    if kind not in _TYPES:
        raise ValueError(f"ElementType {kind} is not known")
    spacing = _numbers(fields, ("elementspacing", "elementsize"), axes)
    offset = _numbers(fields, ("offset", "position", "origin"), axes) or (0.0,) * axes
    direction = _numbers(fields, ("transformmatrix", "orientation", "rotation"), axes**2) or tuple(np.eye(axes).ravel())
    return MetaImageHeader(
        shape=tuple(reversed(lengths)),
        channels=_within("ElementNumberOfChannels", int(fields.get("elementnumberofchannels", "1")), 1, MOST_CHANNELS),
        dtype=np.dtype(_TYPES[kind]).newbyteorder(">" if big else "<"),
        compressed=_flag(fields, ("compresseddata",), False),
        spacing=spacing,
        placement=(*offset, *map(float, direction), *(spacing or (1.0,) * axes)),
        start=start,
    )


def _within(name: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}")
    return value


def _flag(fields: dict[str, str], names: tuple[str, ...], default: bool) -> bool:
    found = next((fields[name].lower() for name in names if name in fields), str(default).lower())
    if found not in ("true", "false"):
        raise ValueError(f"{names[0]} is neither True nor False")
    return found == "true"


def _numbers(fields: dict[str, str], names: tuple[str, ...], count: int) -> tuple[float, ...] | None:
    """The numbers of the first of `names` that there is."""
    text = next((fields[name] for name in names if name in fields), None)
    if text is None:
        return None
    numbers = tuple(map(float, text.split()))
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"{names[0]} is {text:.40}")
    return numbers


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The lines of the header up to ElementDataFile, names in lower case, and the bytes up to there."""
    with path.open("rb") as file:
        content = file.read(MOST_HEADER_BYTES)
    fields: dict[str, str] = {}
    position = 0
    for line in content.splitlines(keepends=True):
        position += len(line)
        key, _, value = (part.strip() for part in line.decode("latin-1").partition("="))
        fields.setdefault(key.lower(), value)
        if key.lower() == "elementdatafile":
            break
    return fields, position
