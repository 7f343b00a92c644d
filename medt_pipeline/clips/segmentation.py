"""The masks of a DICOM clip as a DICOM segmentation, written frame by frame.

highdicom, which writes segmentations too, wants all frames in memory and a place in space for each, which ultrasound
does not tell; it reads what is written here in the tests.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from medt_pipeline.clips.identity import Identity
from medt_pipeline.clips.label_stack import AddLabels
from medt_pipeline.clips.segmentation_header import code, referenced_instance, segmentation_header
from medt_pipeline.core.clips import ClipFile
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path

MOST_BYTES = 2**32 - 2
"""Bytes of pixels without compression, which marks of single bits need."""
_ITEM, _SEQUENCE_END, _UNDEFINED = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD), 0xFFFFFFFF


@contextmanager
def segmentation(
    file: Path, clip: ClipFile, identity: Identity, names: Mapping[int, str], model_name: str, key: str
) -> Iterator[AddLabels]:
    """Write labels as a segmentation with a segment a class; the file has its name at the end, and is absent on error.

    Frames in which a class is not found are left out for it, as is usual; where nothing is found in the whole clip, the
    first frame is written without a mark. Marks wait in two files without names until the number of frames is known.

    Args:
        names: class by label, without the background.
        model_name, key: as for `segmentation_header`.

    Raises:
        UserError: more pixels are marked than one file holds.
    """
    header = segmentation_header(clip, identity, names, model_name, key)
    with (
        atomic_path(file) as temporary,
        tempfile.TemporaryFile(dir=file.parent) as groups,
        tempfile.TemporaryFile(dir=file.parent) as pixels,
    ):
        marks = _Marks(clip, identity, list(names), groups, pixels)
        yield marks.add
        marks.finish()
        _write(temporary, header, marks)


class _Marks:
    """Frames of a segmentation: what each shows, and its pixels as single bits one after another."""

    def __init__(
        self, clip: ClipFile, identity: Identity, labels: list[int], groups: IO[bytes], pixels: IO[bytes]
    ) -> None:
        self.clip, self.labels, self.groups, self.pixels = clip, labels, groups, pixels
        self.source = referenced_instance(identity)
        self.several = identity.header.get("NumberOfFrames") is not None
        self.frames = 0
        self._left_over = np.zeros(0, bool)

    def add(self, index: int, labels: np.ndarray) -> None:
        for segment, label in enumerate(self.labels, start=1):
            marked = labels == label
            if marked.any():
                self._add(index, segment, marked)

    def finish(self) -> None:
        if not self.frames:
            self._add(0, 1, np.zeros((self.clip.height, self.clip.width), bool))
        self.pixels.write(np.packbits(self._left_over, bitorder="little").tobytes())
        if self.pixels.tell() % 2:
            self.pixels.write(b"\0")

    def _add(self, index: int, segment: int, marked: np.ndarray) -> None:
        # a frame may begin within a byte
        bits = np.concatenate([self._left_over, marked.ravel()])
        whole = len(bits) // 8 * 8
        self.pixels.write(np.packbits(bits[:whole], bitorder="little").tobytes())
        self._left_over = bits[whole:]
        if self.pixels.tell() > MOST_BYTES - 2:
            raise UserError(f"{self.clip.path} is too long for one DICOM segmentation; cut it in parts.")
        self.groups.write(_item(_frame_groups(self.source, index, segment, self.several)))
        self.frames += 1


def _frame_groups(source: Dataset, index: int, segment: int, several: bool) -> Dataset:
    """What a frame of the segmentation shows, and where."""
    groups, content, derivation, identification = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [segment, index + 1]
    content.TemporalPositionIndex = index + 1
    image = Dataset()
    image.update(source)
    if several:
        image.ReferencedFrameNumber = index + 1
    image.PurposeOfReferenceCodeSequence = Sequence(
        [code("121322", "DCM", "Source image for image processing operation")]
    )
    image.SpatialLocationsPreserved = "YES"
    derivation.SourceImageSequence = Sequence([image])
    derivation.DerivationCodeSequence = Sequence([code("113076", "DCM", "Segmentation")])
    identification.ReferencedSegmentNumber = segment
    groups.DerivationImageSequence = Sequence([derivation])
    groups.FrameContentSequence = Sequence([content])
    groups.SegmentIdentificationSequence = Sequence([identification])
    return groups


def _item(content: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, content, parent_encoding="utf-8")
    encoded = buffer.getvalue()
    return struct.pack("<HHL", *_ITEM, len(encoded)) + encoded


def _write(path: Path, header: Dataset, marks: _Marks) -> None:
    """The header by pydicom; behind it, since their tags are the highest, the groups of all frames and the pixels."""
    header.NumberOfFrames = marks.frames
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.save_as(path, enforce_file_format=True)
    with path.open("ab") as file:
        file.write(struct.pack("<HH2sHL", 0x5200, 0x9230, b"SQ", 0, _UNDEFINED))
        marks.groups.seek(0)
        shutil.copyfileobj(marks.groups, file)
        file.write(struct.pack("<HHL", *_SEQUENCE_END, 0))
        file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, marks.pixels.tell()))
        marks.pixels.seek(0)
        shutil.copyfileobj(marks.pixels, file)
