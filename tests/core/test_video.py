"""Videos read against the pixels that were drawn, and files that are none."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core import video
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.video import read_video, read_video_frames
from tests.clips.drawn_clips import draw_video, ellipses

FORMS = {"a.mp4": "libx264", "a.avi": "mpeg4", "a.mkv": "libx264", "a.mov": "libx264", "a.mpg": "mpeg2video"}


@pytest.mark.parametrize("name", FORMS)
def test_frames_and_times(tmp_path: Path, name: str) -> None:
    drawn = ellipses(6)
    draw_video(tmp_path / name, drawn, FORMS[name])
    told = read_video(tmp_path / name)
    assert (told.height, told.width, told.rate) == (96, 128, 25)
    assert told.frames in (6, None)
    frames = list(read_video_frames(tmp_path / name))
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.2], abs=1e-3)
    for frame, expected in zip(frames, drawn, strict=True):
        assert frame.picture.dtype == np.uint8
        assert np.abs(frame.picture.astype(int) - expected[..., None]).mean() < 6


def test_colours(tmp_path: Path) -> None:
    drawn = np.zeros((2, 64, 96, 3), np.uint8)
    drawn[:, :, :48], drawn[:, :, 48:] = (200, 40, 60), (30, 60, 210)
    draw_video(tmp_path / "a.mp4", drawn)
    shown = next(read_video_frames(tmp_path / "a.mp4")).picture
    assert np.abs(shown[:, :40].reshape(-1, 3).mean(0) - (200, 40, 60)).max() < 5
    assert np.abs(shown[:, 56:].reshape(-1, 3).mean(0) - (30, 60, 210)).max() < 5


def test_a_camera_that_was_held_upright(tmp_path: Path) -> None:
    """The matrix in `tkhd` (ISO/IEC 14496-12, 8.3.2) that turns the picture a quarter clockwise."""
    drawn = np.full((2, 64, 96), 40, np.uint8)
    drawn[:, :10, :] = 220
    draw_video(tmp_path / "a.mp4", drawn)
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    (tmp_path / "a.mp4").write_bytes(content)
    told, shown = read_video(tmp_path / "a.mp4"), next(read_video_frames(tmp_path / "a.mp4")).picture
    assert (told.height, told.width) == (96, 64) == shown.shape[:2]
    # the bright rows at the top are now columns on the right
    assert shown[:, -8:].mean() > 200
    assert shown[:, :50].mean() < 60


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {}),
        ("a.mp4", "libx264", {"movflags": "faststart"}),
        ("a.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.avi", "mpeg4", {}),
        ("a.mkv", "libx264", {}),
    ],
)
def test_what_is_cut_off(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    draw_video(tmp_path / name, ellipses(30), codec, options=options)
    content = (tmp_path / name).read_bytes()
    for share in (0.0, 0.02, 0.3, 0.7):
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(UserError) as error:
            list(read_video_frames(tmp_path / name))
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mp4\n",
        "no video",
    ],
    ids=["HLS", "concat", "text"],
)
def test_lists_that_name_other_files_are_not_followed(tmp_path: Path, content: str) -> None:
    draw_video(tmp_path / "other.mp4", ellipses(3))
    (tmp_path / "a.mp4").write_text(content.format(other=tmp_path / "other.mp4"))
    with pytest.raises(UserError, match="cannot be read as a video"):
        read_video(tmp_path / "a.mp4")


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_video(tmp_path / "a.mkv", ellipses(5))
    monkeypatch.setattr(video, "MOST_FRAMES", 4)
    with pytest.raises(UserError, match="more than 4 frames"):
        list(read_video_frames(tmp_path / "a.mkv"))
    draw_video(tmp_path / "a.mp4", ellipses(5))
    with pytest.raises(UserError, match="claims 5 frames"):
        read_video(tmp_path / "a.mp4")
    monkeypatch.setattr(video, "MOST_PIXELS", 1000)
    with pytest.raises(UserError, match="claims frames of 128×96 pixels"):
        read_video(tmp_path / "a.mkv")


def test_sound_alone_and_no_file(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="flt", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(UserError, match="holds no pictures"):
        read_video(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="is missing or no file"):
        read_video(tmp_path / "b.mp4")


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"a\.mp4 takes PyAV.*pip install medt_pipeline\[video\]"):
        read_video(tmp_path / "a.mp4")


def test_a_pyav_that_ends_the_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("av.__version__", "16.1.0")
    with pytest.raises(UserError, match=r"newer PyAV than 16\.1\.0"):
        read_video(tmp_path / "a.mp4")
