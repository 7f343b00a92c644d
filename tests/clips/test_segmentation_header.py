"""Whose the segmentation is: by default nobody's, with the flag the clip's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset

from medt_pipeline.clips.identity import COPIED_KEYWORDS, read_identity
from medt_pipeline.clips.segmentation_header import segmentation_header
from medt_pipeline.core.clips import open_clip
from medt_pipeline.core.overlays import colour_of
from tests.clips.drawn_clips import facts
from tests.drawn_dicom import draw_clip, ramp

NAMES = {1: "a" * 80, 2: "b"}


def _headers(folder: Path, keep: bool) -> tuple[Dataset, Dataset]:
    """That of the clip and that of the segmentation."""
    written = draw_clip(folder / "clip", ramp(0, 3), IssuerOfPatientID="here", **facts(3))
    clip, identity = open_clip(folder / "clip"), read_identity(folder / "clip", "c" * 64, keep)
    return written, segmentation_header(clip, identity, NAMES, "some model", "key")


def test_identifiers_that_are_kept(tmp_path: Path) -> None:
    clip, header = _headers(tmp_path, keep=True)
    for keyword in (*COPIED_KEYWORDS, "StudyInstanceUID"):
        assert header.get(keyword) == clip.get(keyword), keyword
    series = header.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == clip.SeriesInstanceUID != header.SeriesInstanceUID
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == clip.SOPInstanceUID
    assert "PatientIdentityRemoved" not in header


def test_nothing_of_the_clip_otherwise(tmp_path: Path) -> None:
    clip, header = _headers(tmp_path, keep=False)
    assert header.PatientIdentityRemoved == "YES"
    text = str(header)
    told = [str(clip.get(keyword)) for keyword in (*COPIED_KEYWORDS, "StudyInstanceUID", "SeriesInstanceUID")]
    for value in (*told, str(clip.SOPInstanceUID)):
        # a sex and a number of one digit occur anywhere
        assert len(value) < 2 or value not in text, value
    assert (header.PatientBirthDate, header.PatientSex, header.StudyDate, header.StudyID) == ("", "", "", "")


def test_segments_are_named_and_coloured(tmp_path: Path) -> None:
    _, header = _headers(tmp_path, keep=False)
    assert [(one.SegmentNumber, one.SegmentLabel) for one in header.SegmentSequence] == [(1, "a" * 64), (2, "b")]
    from skimage.color import lab2rgb

    for segment, label in zip(header.SegmentSequence, NAMES, strict=True):
        encoded = np.array(segment.RecommendedDisplayCIELabValue) / 65535
        lab = encoded * (100, 255, 255) - (0, 128, 128)
        assert np.abs(lab2rgb(lab) * 255 - colour_of(label)).max() < 1.5
