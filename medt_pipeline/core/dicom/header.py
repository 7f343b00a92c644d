"""Reading of DICOM headers within limits, without a word to the reader of what they tell of people."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from medt_pipeline.core.errors import UserError

LARGEST_VALUE = 2**23
"""Bytes of one value that is read; a palette has 131072, the frames of a long segmentation a few million."""
MOST_READS = 1_000_000
"""Read operations on a header, about one an element: however small, each becomes objects in memory."""

_PIXELS = range(0x7FE00008, 0x7FE00011)
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class OpenedFile:
    """A DICOM file whose header is read.

    Attributes:
        file: open for reading; its position is undefined.
        syntax: transfer syntax, which tells how the pixels are compressed.
        kind: Media Storage SOP Class UID, which tells what the file holds; "" where it does not.
        header: the elements that were asked for, as far as they are there.
        pixels_at: where in the file the value of the pixels begins; None where there are none.
        pixel_bytes: the bytes from there on that are theirs, at most those that are there.
        pixel_kind: value representation of the pixels, "OB" or "OW".
    """

    path: Path
    file: io.BufferedReader
    syntax: UID
    kind: UID
    header: Dataset
    pixels_at: int | None
    pixel_bytes: int
    pixel_kind: str


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM files do, whatever its name; False where there is no file.

    Raises:
        UserError: it must not be read.
    """
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        raise UserError(f"{path} cannot be opened; check who may read it.") from None


def read_header(path: Path, keywords: Iterable[str]) -> Dataset:
    """The elements with these keywords, as far as the file has them.

    Raises:
        UserError: as for `opened`.
    """
    with opened(path, keywords) as found:
        return found.header


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; [] where there is none, or something else in its place."""
    value = header.get(keyword)
    return list(value) if isinstance(value, Sequence) else []


@contextmanager
def opened(path: Path, keywords: Iterable[str]) -> Iterator[OpenedFile]:
    """Open a DICOM file and read the elements with these keywords up to the pixels.

    Raises:
        UserError: the file is missing, must not be read, is no DICOM, is cut off or broken, is deflated as a whole,
            nests sequences too deep, or holds a value or a number of elements beyond the limits above.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing or no file.")
    if not is_dicom(path):
        raise UserError(f"{path} is not a DICOM file.")
    with _CountedFile(io.FileIO(path)) as file:
        yield _read(path, file, frozenset(tag_for_keyword(keyword) or 0 for keyword in keywords))


class _CountedFile(io.BufferedReader):
    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MOST_READS:
            raise _Refused(f"has more than {MOST_READS} elements in its header")
        return super().read(size)


class _Refused(Exception):  # noqa: N818 (never leaves this file)
    """What is wrong, to be put after the name of the file."""


class _Watch:
    """Looks at every element at the top of a header before its value is read, and stops at the pixels."""

    def __init__(self, file: io.BufferedReader, wanted: frozenset[int]) -> None:
        self.file, self.wanted = file, wanted
        self.pixels_at: int | None = None
        self.pixel_bytes, self.pixel_kind = 0, "OW"

    def __call__(self, tag: int, kind: str | None, length: int) -> bool:
        if tag in _PIXELS:
            self.pixels_at, self.pixel_bytes, self.pixel_kind = self.file.tell(), length, kind or "OW"
            return True
        if tag in self.wanted and LARGEST_VALUE < length != _UNDEFINED:
            raise _Refused(f"holds a value of {length} bytes in its header, where at most {LARGEST_VALUE} are read")
        return False


def _read(path: Path, file: io.BufferedReader, wanted: frozenset[int]) -> OpenedFile:
    size = os.fstat(file.fileno()).st_size
    watch = _Watch(file, wanted)
    try:
        meta = read_file_meta_info(path)
        syntax, kind = UID(meta.get("TransferSyntaxUID", "")), UID(meta.get("MediaStorageSOPClassUID", ""))
        if syntax == DeflatedExplicitVRLittleEndian:
            raise _Refused("is deflated as a whole")
        if not syntax:
            raise _Refused("does not tell its transfer syntax")
        header = read_partial(file, stop_when=watch, specific_tags=sorted(wanted))
        # a value that is skipped may claim to reach beyond the end
        if file.tell() > size:
            raise _Refused("is cut off")
        # values are converted when they are looked at, which is here that a broken one does no harm
        for _ in header.iterall():
            pass
    except _Refused as refused:
        raise UserError(f"{path} {refused}; export it again or leave it out.") from None
    except RecursionError:
        raise UserError(f"{path} nests its sequences too deep; export it again or leave it out.") from None
    # pydicom raises whatever the broken byte makes it raise, and its words may quote a name
    except Exception:
        raise UserError(f"{path} is cut off or broken; export it again or leave it out.") from None
    there = 0 if watch.pixels_at is None else min(watch.pixel_bytes, size - watch.pixels_at)
    return OpenedFile(path, file, syntax, kind, header, watch.pixels_at, there, watch.pixel_kind)
