"""Segmentations that highdicom wrote, read back as the masks that were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import Dataset, dcmread

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.dicom.segmentation import (
    Mark,
    SegmentMask,
    number_classes,
    read_marks,
)
from tests.drawn_dicom import draw_clip, draw_segmentation, ramp

SIZE = (13, 11)
"""Odd, so that frames of single bits end within a byte."""
LABELS = ["organ", "tumour", "vessel"]


def overlapping() -> np.ndarray:
    """Two segments in four frames, (4, H, W, 2): nothing, organ, nothing, both one upon the other."""
    masks = np.zeros((4, *SIZE, 2), np.uint8)
    masks[1, 2:9, 1:8, 0] = masks[3, 1:7, 3:9, 0] = masks[3, 4:10, 5:11, 1] = 1
    return masks


def read_all(path: Path, instance: str, frames: int) -> list[np.ndarray]:
    marks = read_marks(path)
    classes = number_classes(mark for marked in marks.values() for mark in marked)
    assert {place[0] for place in marks} <= {instance}
    return [SegmentMask(tuple(marks.get((instance, index), ())), classes).read(SIZE).values for index in range(frames)]


@pytest.mark.parametrize("whole", [False, True], ids=["empty frames left out", "all frames"])
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_segments_of_a_clip(tmp_path: Path, kind: str, whole: bool) -> None:
    clip = draw_clip(tmp_path / "clip", ramp(0, 4, SIZE))
    drawn = overlapping()
    shares = drawn * 0.6 if kind == "FRACTIONAL" else drawn
    draw_segmentation(tmp_path / "seg", tmp_path / "clip", shares, LABELS[:2], kind, omit_empty_frames=not whole)
    truth = np.where(drawn[..., 1], 2, drawn[..., 0])
    read = read_all(tmp_path / "seg", clip.SOPInstanceUID, 4)
    np.testing.assert_array_equal(read, truth)
    assert len(read_marks(tmp_path / "seg")) == (4 if whole else 2)


def test_shares_below_one_half_are_not_marked(tmp_path: Path) -> None:
    clip = draw_clip(tmp_path / "clip", ramp(0, 1, SIZE))
    shares = np.linspace(0, 1, 143).reshape(1, *SIZE, 1)
    draw_segmentation(tmp_path / "seg", tmp_path / "clip", shares, ["organ"], "FRACTIONAL")
    marks = read_marks(tmp_path / "seg")
    (marked,) = marks.values()
    read = SegmentMask(tuple(marked), number_classes(marked)).read(SIZE)
    # stored in 255 steps, of which 128 is the first above one half
    np.testing.assert_array_equal(read.values, np.round(shares[0, ..., 0] * 255) >= 128)
    assert read.repairs == ("shares of a pixel count as marked from one half on",)
    assert clip.SOPInstanceUID in {instance for instance, _ in marks}


def test_label_map(tmp_path: Path) -> None:
    clip = draw_clip(tmp_path / "clip", ramp(0, 3, SIZE))
    drawn = np.random.default_rng(0).integers(0, 4, (3, *SIZE), dtype=np.uint8)
    draw_segmentation(tmp_path / "seg", tmp_path / "clip", drawn, LABELS, "LABELMAP")
    np.testing.assert_array_equal(read_all(tmp_path / "seg", clip.SOPInstanceUID, 3), drawn)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=arrays(np.uint8, (2, *SIZE), elements=st.integers(0, 3)))
def test_any_mask_comes_back(tmp_path: Path, drawn: np.ndarray) -> None:
    if not drawn.any():
        return
    clip = draw_clip(tmp_path / "clip", ramp(0, 2, SIZE))
    masks = np.stack([drawn == number for number in (1, 2, 3)], axis=-1).astype(np.uint8)
    draw_segmentation(tmp_path / "seg", tmp_path / "clip", masks, LABELS, omit_empty_frames=False)
    np.testing.assert_array_equal(read_all(tmp_path / "seg", clip.SOPInstanceUID, 2), drawn)


def test_overlaps_are_counted(tmp_path: Path) -> None:
    draw_clip(tmp_path / "clip", ramp(0, 4, SIZE))
    draw_segmentation(tmp_path / "seg", tmp_path / "clip", overlapping(), LABELS[:2])
    marks = next(marked for (_, index), marked in read_marks(tmp_path / "seg").items() if index == 3)
    read = SegmentMask(tuple(marks), {"organ": 1, "tumour": 2}).read(SIZE)
    assert read.repairs == ("12 pixels of several segments given to the one that comes last",)
    assert SegmentMask(tuple(marks), {}).files == (tmp_path / "seg",)


def test_a_segmentation_of_another_size(tmp_path: Path) -> None:
    draw_clip(tmp_path / "clip", ramp(0, 1, SIZE))
    draw_segmentation(tmp_path / "seg", tmp_path / "clip", np.ones((1, *SIZE, 1), np.uint8), ["x"])
    (marked,) = read_marks(tmp_path / "seg").values()
    with pytest.raises(UserError, match="marks 11×13 pixels, but its clip has 20×20"):
        SegmentMask(tuple(marked), {"x": 1}).read((20, 20))


# What a segmentation does not tell ------------------------------------------------------------------------------------


def edited(tmp_path: Path, frames: int = 1) -> tuple[Dataset, Path]:
    draw_clip(tmp_path / "clip", ramp(0, frames, SIZE))
    draw_segmentation(tmp_path / "seg", tmp_path / "clip", np.ones((frames, *SIZE, 1), np.uint8), ["x"])
    return dcmread(tmp_path / "seg"), tmp_path / "seg"


def without_sources(seg: Dataset) -> None:
    for group in (*seg.PerFrameFunctionalGroupsSequence, *seg.SharedFunctionalGroupsSequence):
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence


def test_one_frame_belongs_to_the_one_instance_that_is_named(tmp_path: Path) -> None:
    seg, path = edited(tmp_path)
    without_sources(seg)
    seg.save_as(path)
    assert list(read_marks(path)) == [(dcmread(tmp_path / "clip").SOPInstanceUID, None)]


def test_one_frame_of_a_segmentation_may_mark_several_of_a_clip(tmp_path: Path) -> None:
    seg, path = edited(tmp_path, 3)
    for group in seg.PerFrameFunctionalGroupsSequence:
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = [1, 3]
    seg.save_as(path)
    assert {index for _, index in read_marks(path)} == {0, 2}


def test_what_stands_where_a_sequence_should(tmp_path: Path) -> None:
    seg, path = edited(tmp_path)
    del seg.SegmentSequence
    seg.add_new("SegmentSequence", "LO", "no sequence")
    seg.save_as(path)
    with pytest.raises(UserError, match="names no segments"):
        read_marks(path)


def test_several_frames_without_sources(tmp_path: Path) -> None:
    seg, path = edited(tmp_path, 3)
    without_sources(seg)
    seg.save_as(path)
    with pytest.raises(UserError, match="does not tell which frames of which clip it marks"):
        read_marks(path)


def test_frames_without_description(tmp_path: Path) -> None:
    seg, path = edited(tmp_path, 3)
    del seg.PerFrameFunctionalGroupsSequence[2]
    seg.save_as(path)
    with pytest.raises(UserError, match="describes 2 of its 3 frames"):
        read_marks(path)


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("label", ["", " ", "x" * 70])
def test_segments_without_a_label(tmp_path: Path, label: str) -> None:
    seg, path = edited(tmp_path)
    seg.SegmentSequence[0].SegmentLabel = label
    seg.save_as(path)
    with pytest.raises(UserError, match="segments without a number and label of their own"):
        read_marks(path)


def test_white_space_in_labels(tmp_path: Path) -> None:
    seg, path = edited(tmp_path)
    seg.SegmentSequence[0].SegmentLabel = " left \t  kidney\x00"
    seg.save_as(path)
    (marked,) = read_marks(path).values()
    assert marked[0].labels == {1: "left kidney"}


def test_a_segment_that_does_not_exist(tmp_path: Path) -> None:
    seg, path = edited(tmp_path)
    seg.SegmentSequence[0].SegmentNumber = 7
    seg.save_as(path)
    with pytest.raises(UserError, match="does not tell which segment its frame 1 marks"):
        read_marks(path)
    del seg.SegmentSequence
    seg.save_as(path)
    with pytest.raises(UserError, match="names no segments"):
        read_marks(path)


# Classes --------------------------------------------------------------------------------------------------------------


def marks(*labels: dict[int, str]) -> list[Mark]:
    return [Mark(Path("seg"), index, label, 1) for index, label in enumerate(labels)]


def test_classes_follow_the_numbers_of_segments() -> None:
    found = number_classes(marks({2: "b"}, {1: "c"}, {1: "B"}, {2: "a"}, {3: "Background"}))
    assert found == {"background": 0, "B": 1, "c": 2, "a": 3, "b": 1, "Background": 0}
    assert number_classes([]) == {"background": 0}


def test_labels_that_cannot_be_classes() -> None:
    with pytest.raises(UserError, match="called 'ignore'"):
        number_classes(marks({1: "Ignore"}))
    with pytest.raises(UserError, match="hold 300 labels; at most 254"):
        number_classes(marks({number: f"l{number}" for number in range(1, 301)}))
