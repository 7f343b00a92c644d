"""What is written, read by highdicom and by the converter of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread

from medt_pipeline.clips import segmentation as module
from medt_pipeline.clips.identity import Identity, read_identity
from medt_pipeline.clips.segmentation import segmentation
from medt_pipeline.core.clips import open_clip
from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.dicom.segmentation import SegmentMask, number_classes, read_marks
from tests.clips.drawn_clips import facts
from tests.drawn_dicom import draw_clip, ramp

NAMES = {1: "lesion", 3: "Gefäß"}


def _write(folder: Path, masks: np.ndarray, keep: bool = False) -> tuple[Path, Identity]:
    draw_clip(folder / "clip", ramp(0, len(masks), masks.shape[1:]), **facts(len(masks)))
    clip, identity = open_clip(folder / "clip"), read_identity(folder / "clip", "c" * 64, keep)
    with segmentation(folder / "seg.dcm", clip, identity, NAMES, "some model", "key") as add:
        for index, labels in enumerate(masks):
            add(index, labels)
        assert not (folder / "seg.dcm").exists()
    return folder / "seg.dcm", identity


def _masks(frames: int, size: tuple[int, int]) -> np.ndarray:
    """Labels 0, 1 and 3 at random; the second frame is empty and the third has no label 3."""
    masks = np.random.default_rng(1).choice(np.array([0, 1, 3], np.uint8), (frames, *size))
    masks[1:2] = 0
    masks[2:3][masks[2:3] == 3] = 1
    return masks


@pytest.mark.parametrize("size", [(24, 36), (7, 9), (1, 1)])
def test_highdicom_reads_the_masks(tmp_path: Path, size: tuple[int, int]) -> None:
    masks = _masks(5, size)
    masks[0].flat[0], masks[4].flat[-1] = 1, 3
    file, identity = _write(tmp_path, masks)
    read = highdicom.seg.segread(file)
    descriptions = [read.get_segment_description(number) for number in (1, 2)]
    assert [one.segment_label for one in descriptions] == list(NAMES.values())
    assert descriptions[0].algorithm_identification is None
    stacked = read.get_pixels_by_source_frame(
        identity.uid("SOPInstanceUID"), [1, 2, 3, 4, 5], assert_missing_frames_are_empty=True
    )
    for segment, label in enumerate(NAMES):
        np.testing.assert_array_equal(stacked[..., segment], masks == label)


def test_the_converter_reads_the_masks(tmp_path: Path) -> None:
    masks = _masks(4, (24, 36))
    file, identity = _write(tmp_path, masks)
    marks = read_marks(file)
    classes = number_classes(mark for several in marks.values() for mark in several)
    assert classes == {"background": 0, "lesion": 1, "Gefäß": 2}
    numbers = {0: 0, 1: 1, 3: 2}
    for index in (0, 2, 3):
        of_frame = tuple(marks[(identity.uid("SOPInstanceUID"), index)])
        expected = np.vectorize(numbers.get)(masks[index])
        np.testing.assert_array_equal(SegmentMask(of_frame, classes).read((24, 36)).values, expected)
    assert (identity.uid("SOPInstanceUID"), 1) not in marks


def test_nothing_found_in_the_whole_clip(tmp_path: Path) -> None:
    file, _ = _write(tmp_path, np.zeros((3, 5, 5), np.uint8))
    read = highdicom.seg.segread(file)
    assert read.NumberOfFrames == 1
    assert not read.pixel_array.any()


def test_physical_units(tmp_path: Path) -> None:
    file, _ = _write(tmp_path, _masks(3, (24, 36)))
    measures = dcmread(file).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert [float(side) for side in measures.PixelSpacing] == pytest.approx([0.2, 0.3])


def test_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(UserError, match="too long for one DICOM segmentation"):
        _write(tmp_path, np.ones((3, 24, 36), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_the_order_of_frames(tmp_path: Path) -> None:
    file, _ = _write(tmp_path, np.array([[[1, 3]], [[3, 0]], [[0, 1]]], np.uint8))
    groups: Sequence = dcmread(file).PerFrameFunctionalGroupsSequence
    places = [tuple(group.FrameContentSequence[0].DimensionIndexValues) for group in groups]
    assert places == [(1, 1), (2, 1), (2, 2), (1, 3)]
