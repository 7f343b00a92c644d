"""The header of a DICOM segmentation of a clip: all but its frames (DICOM PS3.3, A.51)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.sequence import Sequence
from pydicom.uid import SegmentationStorage

from medt_pipeline import __version__
from medt_pipeline.clips.identity import COPIED_KEYWORDS, Identity
from medt_pipeline.core.clips import ClipFile
from medt_pipeline.core.dicom.identity import text_of
from medt_pipeline.core.overlays import colour_of
from medt_pipeline.core.pixel_size import PixelSize

SERIES_NUMBER = 9000
"""Far from those that devices give."""
_NO_DATE, _NO_TIME = "19000101", "000000"
"""Where a date must stand. That of the run would make two runs differ."""
LONGEST_LABEL = 64
_TISSUE = ("85756007", "SCT", "Tissue")
"""What a segment is where only its name is known, as in 3D Slicer."""
_UM_PER_MM = 1000.0


def segmentation_header(
    clip: ClipFile, identity: Identity, names: Mapping[int, str], model_name: str, key: str
) -> Dataset:
    """All elements but the number of frames, what each shows, and the pixels.

    Args:
        names: class by label, without the background; segments are numbered in this order.
        model_name: what predicted.
        key: of the work, from which the UIDs follow: the same work gives the same file.
    """
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["DERIVED", "PRIMARY"]
    header.SOPClassUID = SegmentationStorage
    header.SOPInstanceUID = identity.new_uid("segmentation", key)
    header.Modality = "SEG"
    header.SeriesInstanceUID = identity.new_uid("series of segmentations", key)
    header.SeriesNumber, header.InstanceNumber = SERIES_NUMBER, 1
    header.SeriesDescription = "masks of medt_predict"
    header.Manufacturer = header.ManufacturerModelName = "medt_pipeline"
    header.SoftwareVersions, header.DeviceSerialNumber = __version__, "none"
    header.ContentLabel, header.ContentDescription, header.ContentCreatorName = "MASKS", model_name[:64], None
    _tell_patient(header, identity)
    _tell_pixels(header, clip, identity)
    _tell_dimensions(header, identity, key)
    header.SegmentationType = "BINARY"
    header.SegmentSequence = Sequence(
        _segment(number, label, name, model_name) for number, (label, name) in enumerate(names.items(), start=1)
    )
    header.ReferencedSeriesSequence = Sequence([_referenced_series(identity)])
    header.SharedFunctionalGroupsSequence = Sequence([_shared_groups(clip.pixel_size)])
    return header


def _tell_patient(header: Dataset, identity: Identity) -> None:
    for keyword in COPIED_KEYWORDS:
        setattr(header, keyword, text_of(identity.header, keyword) if identity.keep else "")
    header.StudyInstanceUID = identity.uid("StudyInstanceUID")
    if not identity.keep:
        header.PatientName = header.PatientID = identity.stand_in
        header.PatientIdentityRemoved = "YES"
        header.DeidentificationMethod = "identity and UIDs replaced, dates removed"
    if not header.IssuerOfPatientID:
        del header.IssuerOfPatientID
    header.ContentDate = header.StudyDate or _NO_DATE
    header.ContentTime = header.StudyTime or _NO_TIME


def _tell_pixels(header: Dataset, clip: ClipFile, identity: Identity) -> None:
    header.Rows, header.Columns = clip.height, clip.width
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 1
    header.HighBit = header.PixelRepresentation = 0
    header.LossyImageCompression = "00"
    if text_of(identity.header, "LossyImageCompression") == "01":
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if identity.header.get(keyword) is not None:
                setattr(header, keyword, identity.header.get(keyword))


def _tell_dimensions(header: Dataset, identity: Identity, key: str) -> None:
    """Frames are ordered by segment and by time."""
    organization = identity.new_uid("dimensions", key)
    item = Dataset()
    item.DimensionOrganizationUID = organization
    header.DimensionOrganizationSequence = Sequence([item])
    header.DimensionIndexSequence = Sequence(
        _dimension(organization, index, group)
        for index, group in (
            ("ReferencedSegmentNumber", "SegmentIdentificationSequence"),
            ("TemporalPositionIndex", "FrameContentSequence"),
        )
    )


def _dimension(organization: str, index: str, group: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = organization
    item.DimensionIndexPointer, item.FunctionalGroupPointer = tag_for_keyword(index), tag_for_keyword(group)
    item.DimensionDescriptionLabel = index
    return item


def _segment(number: int, label: int, name: str, model_name: str) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, name[:LONGEST_LABEL]
    item.SegmentAlgorithmType, item.SegmentAlgorithmName = "AUTOMATIC", model_name[:LONGEST_LABEL]
    item.SegmentedPropertyCategoryCodeSequence = Sequence([code(*_TISSUE)])
    item.SegmentedPropertyTypeCodeSequence = Sequence([code(*_TISSUE)])
    item.RecommendedDisplayCIELabValue = _cielab(colour_of(label))
    return item


def _cielab(colour: tuple[int, int, int]) -> list[int]:
    """A colour of the contours as PS3.3, C.10.7.1.1 encodes it."""
    from skimage.color import rgb2lab  # takes half a second to load

    lightness, a, b = rgb2lab(np.array(colour, np.float64).reshape(1, 1, 3) / 255).ravel()
    return [round(lightness / 100 * 65535), round((a + 128) / 255 * 65535), round((b + 128) / 255 * 65535)]


def _referenced_series(identity: Identity) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = identity.uid("SeriesInstanceUID")
    item.ReferencedInstanceSequence = Sequence([referenced_instance(identity)])
    return item


def referenced_instance(identity: Identity) -> Dataset:
    """The clip, as segmentations refer to it."""
    item = Dataset()
    item.ReferencedSOPClassUID = text_of(identity.header, "SOPClassUID")
    item.ReferencedSOPInstanceUID = identity.uid("SOPInstanceUID")
    return item


def _shared_groups(size: PixelSize | None) -> Dataset:
    groups = Dataset()
    if size is not None:
        measures = Dataset()
        # an ultrasound picture has none that is known; highdicom does not read measures without the element
        measures.SliceThickness = "0"
        measures.PixelSpacing = [f"{side / _UM_PER_MM:.10g}" for side in (size.y_um, size.x_um)]
        groups.PixelMeasuresSequence = Sequence([measures])
    return groups


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A coded concept."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
