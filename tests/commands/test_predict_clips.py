"""medt_predict on clips, by the real command with a network that was trained for seconds."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pytest
import tifffile

from medt_pipeline.commands import predict
from medt_pipeline.core.images import read_image, read_mask, write_png
from tests.clips.drawn_clips import DICOM_FORMS, draw_video, ellipses, facts
from tests.conftest import Drawn
from tests.drawn_dicom import coloured, draw_clip


def _run(source: Path, out: Path, *more: str) -> int:
    return predict.main(["-i", str(source), "-o", str(out), "--no-mirroring", *more])


def test_clips_and_images_together(trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    frames = coloured(3, 3, (64, 96))
    draw_clip(source / "clip.dcm", frames, FrameTime=50)
    DICOM_FORMS["RLE"](source / "gray", ellipses(2))
    draw_video(source / "video.avi", frames, "mpeg4")
    write_png(source / "image.png", frames[1])
    (source / "broken.mp4").write_bytes(b"\0" * 500)
    workspace = ["--workspace", str(trained.root), "-f", "0"]
    assert _run(source, out, *workspace, "--overlays") == 1
    printed = capsys.readouterr()
    assert "1 masks in" in printed.out
    assert "3 clips (8 frames) in" in printed.out
    assert "not predicted: broken.mp4: " in printed.err
    # a frame gets the mask that it gets as an image, but for what single precision in batches decides
    mask = read_mask(out / "image.png")
    read = highdicom.seg.segread(out / "clip_seg.dcm")
    told = [group.FrameContentSequence[0].DimensionIndexValues[1] for group in read.PerFrameFunctionalGroupsSequence]
    of_frame = read.pixel_array.reshape(-1, 64, 96)[told.index(2)] if 2 in told else np.zeros((64, 96))
    assert (of_frame != mask).mean() < 0.005
    assert (out / "overlays" / "image.png").exists()
    assert tifffile.imread(out / "video_masks.tif").shape == (3, 64, 96)
    assert read_image(out / "gray_areas.png").shape[:2] == (500, 800)
    assert _run(source, out, *workspace) == 1
    assert capsys.readouterr().out.count("is done already") == 3


def test_a_packed_model_and_one_clip(model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_video(tmp_path / "a.mp4", ellipses(3))
    assert _run(tmp_path / "a.mp4", tmp_path / "out", "-m", str(model_file), "--smooth-frames", "3") == 0
    assert "1 clips (3 frames)" in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "out").iterdir() if not file.name.startswith(".")} == {
        "a_masks.tif",
        "a_overlay.mp4",
        "a_areas.csv",
        "a_areas.png",
        "a_clip.json",
    }
    # the networks and options of one that is cut off do not matter
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(content[: len(content) // 2])
    assert _run(tmp_path / "b.mp4", tmp_path / "out", "-m", str(model_file)) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'b.mp4'} ")
    assert _run(tmp_path / "a.mp4", tmp_path / "out", "-m", str(model_file), "--uncertainty") == 2
    assert "are for pictures; leave them out for clips" in capsys.readouterr().err
    assert _run(tmp_path / "a.mp4", tmp_path / "out", "-m", str(model_file), "--smooth-frames", "99") == 2
    assert "at most 31 frames" in capsys.readouterr().err


HOSTILE = {
    "cut off": (facts(3), 0.6, "it is cut off"),
    "no frames": ({"NumberOfFrames": 0}, 1.0, "number of frames that is not between 1 and 20000"),
    "more frames than bytes": ({"NumberOfFrames": 2_000_000_000}, 1.0, "number of frames that is not between"),
    "huge": ({"Rows": 65535, "Columns": 65535}, 1.0, "frames of 65535×65535 pixels"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_dicom_is_refused_with_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elements, share, sentence = HOSTILE[name]
    draw_clip(tmp_path / "a.dcm", ellipses(3), **elements)
    content = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(content[: int(share * len(content))])
    assert _run(tmp_path / "a.dcm", tmp_path / "out") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert sentence in lines[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("window", ["2", "0", "-1", "on", "1.5"])
def test_windows_without_a_middle_are_typing_errors(window: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        predict.main(["-i", "a.mp4", "-o", "out", "--smooth-frames", window])
    assert end.value.code == 2
    assert "--smooth-frames" in capsys.readouterr().err


def test_off_is_a_window() -> None:
    assert predict._window("off") == 1
    assert predict._window("5") == 5
