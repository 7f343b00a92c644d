"""Which files are clips, and what they tell of themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.clips import is_clip, list_clips, name_of, open_clip
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import write_png
from tests.clips.drawn_clips import DICOM_FORMS, draw_video, ellipses
from tests.drawn_dicom import draw_clip, ramp


def test_clips_of_a_folder(tmp_path: Path) -> None:
    draw_clip(tmp_path / "1.2.840.7", ramp(0, 2))
    draw_clip(tmp_path / "b.DCM", ramp(0, 2))
    (tmp_path / "c.Mp4").write_bytes(b"")
    (tmp_path / ".d.mp4").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("nothing")
    write_png(tmp_path / "e.png", np.zeros((3, 3), np.uint8))
    assert [path.name for path in list_clips(tmp_path)] == ["1.2.840.7", "b.DCM", "c.Mp4"]
    assert list_clips(tmp_path / "b.DCM") == [tmp_path / "b.DCM"]
    assert list_clips(tmp_path / "e.png") == list_clips(tmp_path / "absent") == []
    assert not is_clip(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("file", "name"), [("a.b.mp4", "a.b"), ("IM_1.DCM", "IM_1"), ("1.2.840.113", "1.2.840.113"), ("IM_7", "IM_7")]
)
def test_names(file: str, name: str) -> None:
    assert name_of(Path("folder") / file) == name


@pytest.mark.parametrize("form", DICOM_FORMS)
def test_dicom(tmp_path: Path, form: str) -> None:
    drawn = ellipses(4)
    DICOM_FORMS[form](tmp_path / "a", drawn)
    clip = open_clip(tmp_path / "a")
    assert (clip.height, clip.width, clip.frames, clip.is_dicom) == (96, 128, 4, True)
    assert clip.rate == pytest.approx(25)
    assert clip.pixel_size is not None
    assert (clip.pixel_size.y_um, clip.pixel_size.x_um) == pytest.approx((200, 300))
    assert clip.region is not None
    frames = list(clip.read())
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12])
    for frame, expected in zip(frames, drawn, strict=True):
        picture = frame.picture if frame.picture.ndim == 3 else frame.picture[..., None]
        assert np.abs(picture.astype(int) - expected[..., None]).max() <= (30 if form == "YBR-JPEG" else 0)


def test_video_and_dicom_that_is_none(tmp_path: Path) -> None:
    draw_video(tmp_path / "a.mp4", ellipses(3))
    clip = open_clip(tmp_path / "a.mp4")
    assert (clip.height, clip.width, clip.frames, clip.rate, clip.pixel_size) == (96, 128, 3, 25, None)
    assert len(list(clip.read())) == 3
    (tmp_path / "a.dcm").write_text("no dicom")
    with pytest.raises(UserError, match="not a DICOM file"):
        open_clip(tmp_path / "a.dcm")
