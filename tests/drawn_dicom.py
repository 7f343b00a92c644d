"""Drawn ultrasound DICOM: clips with known pixels, in every colour space and compression that devices write."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import imagecodecs
import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes
from pydicom.uid import UID

NAME, ID, BIRTH, ACCESSION = "Musterfrau^Adalberta", "PID7734421", "19430717", "ACC998877"
"""What must never reach an output."""
ROOT = "1.2.826.0.1.3680043.8.498."


def ramp(seed: int = 0, frames: int = 1, size: tuple[int, int] = (24, 36), dtype: type = np.uint8) -> np.ndarray:
    """(frames, H, W) smooth gray with some noise, every value of the dtype possible."""
    rows, columns = np.indices(size)
    smooth = (rows * 3 + columns * 5) * (np.iinfo(dtype).max // 260)
    noise = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max // 10, (frames, *size))
    return (smooth + noise).astype(dtype)


def coloured(seed: int = 0, frames: int = 1, size: tuple[int, int] = (24, 36)) -> np.ndarray:
    """(frames, H, W, 3) colours."""
    return np.stack([ramp(seed + channel, frames, size) for channel in range(3)], axis=-1)


def region(
    box: tuple[int, int, int, int], delta_cm: tuple[float, float], form: int = 1, kind: int = 1, unit: int = 3
) -> Dataset:
    """One item of the Sequence of Ultrasound Regions.

    Args:
        box: top, left, bottom, right; the last row and column belong to it.
        delta_cm: height and width of a pixel.
        form: spatial format, 1 for two-dimensional; kind: 1 tissue, 2 colour flow; unit: 3 centimetres, 4 seconds.
    """
    item = Dataset()
    item.RegionLocationMinY0, item.RegionLocationMinX0, item.RegionLocationMaxY1, item.RegionLocationMaxX1 = box
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = form, kind, 0
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = unit
    item.PhysicalDeltaY, item.PhysicalDeltaX = delta_cm
    return item


def draw_clip(
    path: Path,
    stored: np.ndarray,
    photometric: str | None = None,
    syntax: UID = uid.ExplicitVRLittleEndian,
    compress: Callable[[np.ndarray], bytes] | None = None,
    **elements: Any,
) -> Dataset:
    """Write `stored`, (frames, H, W) or (frames, H, W, 3), as an ultrasound file and return what was written.

    Args:
        compress: turns one frame into its codestream; needed for compressed transfer syntaxes.
        elements: further elements by keyword, or other values for those that stand here; None leaves one out.
    """
    frames, rows, columns = stored.shape[:3]
    file = _patient(UID(uid.UltrasoundMultiFrameImageStorage if frames > 1 else uid.UltrasoundImageStorage), path.name)
    file.NumberOfFrames = frames
    file.Rows, file.Columns = rows, columns
    file.SamplesPerPixel = 1 if stored.ndim == 3 else 3
    file.PhotometricInterpretation = photometric or ("MONOCHROME2" if stored.ndim == 3 else "RGB")
    if stored.ndim == 4:
        file.PlanarConfiguration = 0
    file.BitsAllocated = file.BitsStored = stored.dtype.itemsize * 8
    file.HighBit, file.PixelRepresentation = file.BitsStored - 1, 0
    if compress is not None:
        file.PixelData = encapsulate([compress(frame) for frame in stored])
    else:
        file.PixelData = stored.astype(stored.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
    file["PixelData"].VR = "OB" if compress is not None or stored.dtype == np.uint8 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(file, keyword)
        else:
            setattr(file, keyword, value)
    return _save(file, path, syntax)


def draw_report(path: Path, sop_class: UID = uid.ComprehensiveSRStorage) -> Dataset:
    """Write a DICOM file without pixels."""
    return _save(_patient(sop_class, path.name), path, UID(uid.ExplicitVRLittleEndian))


def jpeg(frame: np.ndarray, quality: int = 95) -> bytes:
    """Baseline JPEG by Pillow; colours as YBR with half the columns."""
    buffer = BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=quality, subsampling="4:2:2")
    return buffer.getvalue()


def run_lengths(frame: np.ndarray) -> bytes:
    """DICOM's run-length form: one PackBits segment a byte of a sample, the high byte first (PS3.5, annex G)."""
    samples = frame[..., np.newaxis] if frame.ndim == 2 else frame
    big_endian = samples.astype(samples.dtype.newbyteorder(">"))
    planes = np.moveaxis(big_endian.view(np.uint8), -1, 0)
    segments = [imagecodecs.packbits_encode(plane.ravel()) for plane in planes]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(offsets))) + b"".join(segments)


def lossless_jpeg(frame: np.ndarray) -> bytes:
    """By another library than the one that reads it, where that one can: it writes no colours."""
    if frame.ndim == 2:
        return imagecodecs.ljpeg_encode(frame)
    return imagecodecs.jpeg8_encode(frame, lossless=True, colorspace="RGB", outcolorspace="RGB")


LOSSLESS: dict[str, tuple[UID, Callable[[np.ndarray], bytes] | None]] = {
    "implicit": (UID(uid.ImplicitVRLittleEndian), None),
    "explicit": (UID(uid.ExplicitVRLittleEndian), None),
    "big-endian": (UID(uid.ExplicitVRBigEndian), None),
    "RLE": (UID(uid.RLELossless), lambda frame: run_lengths(frame)),
    "JPEG-lossless": (UID(uid.JPEGLosslessSV1), lambda frame: lossless_jpeg(frame)),
    "JPEG-LS": (UID(uid.JPEGLSLossless), lambda frame: imagecodecs.jpegls_encode(frame)),
    "HTJ2K": (UID(uid.HTJ2KLossless), lambda frame: imagecodecs.htj2k_encode(frame, reversible=True)),
    "JPEG-2000": (
        UID(uid.JPEG2000Lossless),
        lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0),
    ),
}


def identifiers() -> Sequence[bytes]:
    """Bytes that must not occur in any output, each in the ways that a text may hold it."""
    words = [ID, BIRTH, ACCESSION, "1943-07-17", *NAME.split("^")]
    return [form.encode() for word in words for form in (word, word.lower(), word.upper())]


def _patient(sop_class: UID, seed: str) -> Dataset:
    file = Dataset()
    file.SOPClassUID = sop_class
    file.SOPInstanceUID = uid.generate_uid(prefix=ROOT, entropy_srcs=[seed])
    file.StudyInstanceUID = uid.generate_uid(prefix=ROOT, entropy_srcs=["study"])
    file.SeriesInstanceUID = uid.generate_uid(prefix=ROOT, entropy_srcs=["series"])
    file.Modality = "US"
    file.PatientName, file.PatientID, file.PatientBirthDate, file.PatientSex = NAME, ID, BIRTH, "F"
    file.AccessionNumber, file.StudyID, file.StudyDate, file.StudyTime = ACCESSION, "1", "20200102", "101112"
    file.ReferringPhysicianName = "Doktor^Allwissend"
    file.SeriesNumber, file.InstanceNumber = 1, 1
    return file


def _save(file: Dataset, path: Path, syntax: UID) -> Dataset:
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(
        path, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
    )
    return file


def draw_segmentation(
    path: Path,
    clip: Path,
    masks: np.ndarray,
    labels: Sequence[str],
    kind: str = "BINARY",
    **options: Any,
) -> Dataset:
    """Write a DICOM segmentation of `clip` with highdicom and return it.

    Args:
        masks: (frames, H, W, segments) of 0 and 1 (or shares of 1 for FRACTIONAL); (frames, H, W) numbers for LABELMAP.
        labels: of the segments.
        options: for highdicom; empty frames are left out unless `omit_empty_frames` says otherwise.
    """
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type="MANUAL",
        )
        for number, label in enumerate(labels, start=1)
    ]
    segmentation = highdicom.seg.Segmentation(
        source_images=[_with_positions(dcmread(clip))],
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=uid.generate_uid(prefix=ROOT, entropy_srcs=["segmentations"]),
        series_number=2,
        sop_instance_uid=uid.generate_uid(prefix=ROOT, entropy_srcs=[path.name]),
        instance_number=1,
        manufacturer="drawn",
        manufacturer_model_name="drawn",
        software_versions="1",
        device_serial_number="1",
        **options,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
    return segmentation


def _with_positions(clip: Dataset) -> Dataset:
    """What highdicom asks of a clip of several frames: that each has a place in space."""
    if clip.NumberOfFrames == 1:
        return clip
    clip.FrameOfReferenceUID = uid.generate_uid(prefix=ROOT, entropy_srcs=["frame of reference"])
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 1
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    clip.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number in range(clip.NumberOfFrames):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, number]
        group.PlanePositionSequence = [position]
        groups.append(group)
    clip.PerFrameFunctionalGroupsSequence = groups
    return clip
