"""Drawn clips through the whole road: areas, units, masks, overlays, identity, interruption."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pytest
import tifffile
import torch

from medt_pipeline.clips import predict as module
from medt_pipeline.clips.predict import ClipOptions, predict_clip, predict_clips
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import write_png
from medt_pipeline.core.video import VideoFrame
from medt_pipeline.inference.models import find_ensemble
from medt_pipeline.inference.recipe import Recipe
from medt_pipeline.postprocessing.recipe import read_recipe
from tests.clips.drawn_clips import (
    AREA,
    DICOM_FORMS,
    OBJECT,
    PIXEL_MM2,
    draw_video,
    ellipses,
    facts,
    read_video,
)
from tests.clips.stand_in import clip_model
from tests.conftest import DATASET_ID, Drawn
from tests.drawn_dicom import ID, LOSSLESS, draw_clip, identifiers

CPU = torch.device("cpu")
QUIET = ClipOptions(quiet=True)


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as table:
        return list(csv.DictReader(table))


def _predicted(path: Path, options: ClipOptions = QUIET, names: dict[int, str] | None = None) -> tuple[Path, str]:
    """The folder and the name of the results of a clip."""
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    name, _ = predict_clip(path, out, clip_model(names), "stand-in", options)
    return out, name


@pytest.mark.parametrize("form", DICOM_FORMS)
def test_areas_and_masks_of_dicom(tmp_path: Path, form: str) -> None:
    drawn = ellipses(5)
    DICOM_FORMS[form](tmp_path / "a.dcm", drawn)
    out, name = _predicted(tmp_path / "a.dcm")
    rows = _rows(out / f"{name}_areas.csv")
    assert [row["frame"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [float(row["time_s"]) for row in rows] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    for row in rows:
        assert float(row["lesion_px"]) == pytest.approx(AREA, rel=0.01)
        assert float(row["lesion_mm2"]) == pytest.approx(AREA * PIXEL_MM2, rel=0.01)
        assert 0.5 < float(row["confidence"]) <= 1
    read = highdicom.seg.segread(out / f"{name}_seg.dcm")
    differing = read.pixel_array != (drawn == OBJECT)
    assert differing.mean() <= (0.002 if form == "YBR-JPEG" else 0)


@pytest.mark.parametrize(("file", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4")])
def test_areas_and_masks_of_videos(tmp_path: Path, file: str, codec: str) -> None:
    drawn = ellipses(6)
    draw_video(tmp_path / file, drawn, codec)
    out, name = _predicted(tmp_path / file)
    rows = _rows(out / f"{name}_areas.csv")
    assert len(rows) == 6
    for row in rows:
        assert float(row["lesion_px"]) == pytest.approx(AREA, rel=0.01)
        assert row["lesion_mm2"] == ""
    masks = tifffile.imread(out / f"{name}_masks.tif")
    assert ((masks == 1) != (drawn == OBJECT)).mean() < 0.005
    overlay = read_video(out / f"{name}_overlay.mp4")
    assert len(overlay) == 6
    assert np.abs(overlay[0, :10].astype(int) - 200).mean() < 6, "outside of the contours the picture is the clip's"


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        DICOM_FORMS["RLE"](tmp_path / folder / "a.dcm", ellipses(3))
        _predicted(tmp_path / folder / "a.dcm")
    for ending in ("_seg.dcm", "_areas.csv", "_areas.png"):
        one, two = (tmp_path / folder / "out" / f"a{ending}" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes(), ending


def test_no_word_of_whose_the_clip_is(tmp_path: Path) -> None:
    DICOM_FORMS["monochrome"](tmp_path / f"x_{ID}.dcm", ellipses(2))
    out, name = _predicted(tmp_path / f"x_{ID}.dcm")
    assert name.startswith("clip_p")
    assert len(list(out.iterdir())) == 5
    for file in out.iterdir():
        content = file.read_bytes()
        assert not [word for word in identifiers() if word in content or word in file.name.encode()], file.name
    overlay = read_video(out / f"{name}_overlay.mp4")
    assert overlay[:, :6].max() < 30, "outside of the region, where names stand, it is black"
    assert overlay[:, 20:40, 40:60].min() > 150
    kept, name = _predicted(tmp_path / f"x_{ID}.dcm", ClipOptions(quiet=True, keep_identifiers=True))
    assert name == f"x_{ID}"
    assert ID.encode() in (kept / f"{name}_seg.dcm").read_bytes()
    assert read_video(kept / f"{name}_overlay.mp4")[:, :6].min() > 150


def test_no_overlay_where_names_may_stand_anywhere(tmp_path: Path) -> None:
    told: list[str] = []
    options = ClipOptions(quiet=True, tell=told.append)
    draw_clip(tmp_path / "a.dcm", ellipses(2), FrameTime=40)
    out, name = _predicted(tmp_path / "a.dcm", options)
    assert not (out / f"{name}_overlay.mp4").exists()
    assert "--keep-identifiers writes one" in told[0]
    draw_clip(tmp_path / "b.dcm", ellipses(2), BurnedInAnnotation="NO")
    out, name = _predicted(tmp_path / "b.dcm", options)
    assert read_video(out / f"{name}_overlay.mp4")[:, :6].min() > 150
    rows = _rows(out / f"{name}_areas.csv")
    assert (rows[1]["time_s"], rows[1]["lesion_mm2"]) == ("", "")


def test_without_pyav_dicom_has_no_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    told: list[str] = []
    DICOM_FORMS["RLE"](tmp_path / "a.dcm", ellipses(2))
    out, _ = _predicted(tmp_path / "a.dcm", ClipOptions(quiet=True, tell=told.append))
    assert {file.name for file in out.iterdir()} == {"a_seg.dcm", "a_areas.csv", "a_areas.png", "a_clip.json"}
    assert "no overlay video of a.dcm" in told[0]
    assert "pip install medt_pipeline[video]" in told[0]


def test_smoothing_steadies_a_clip_that_flickers(tmp_path: Path) -> None:
    """In one frame the object is as bright as the ground; its neighbours know better."""
    drawn = np.repeat(ellipses(1), 5, axis=0)
    drawn[2] = drawn[0].max()
    draw_clip(tmp_path / "a.dcm", drawn, **facts(5))
    found = {}
    for window in (1, 3):
        out, name = _predicted(tmp_path / "a.dcm", ClipOptions(quiet=True, smooth_frames=window))
        found[window] = [int(row["lesion_px"]) for row in _rows(out / f"{name}_areas.csv")]
    assert found[1][2] == 0
    assert found[3][2] == pytest.approx(AREA, rel=0.01)
    assert json.loads((out / f"{name}_clip.json").read_text())["smooth_frames"] == 3


def test_without_an_option_the_recipe_says_how_many_frames_are_averaged(tmp_path: Path) -> None:
    draw_video(tmp_path / "a.mp4", ellipses(3))
    (tmp_path / "out").mkdir()
    nothing = read_recipe({"version": 1, "smoothing_px": 0, "classes": {}}, "nothing")
    model = replace(clip_model(), recipe=Recipe((), nothing, None, smooth_frames=5))
    for option, expected in ((None, 5), (1, 1), (3, 3)):
        predict_clip(
            tmp_path / "a.mp4", tmp_path / "out", model, "stand-in", ClipOptions(quiet=True, smooth_frames=option)
        )
        assert json.loads((tmp_path / "out" / "a_clip.json").read_text())["smooth_frames"] == expected


def test_a_clip_that_is_done_is_not_predicted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_video(tmp_path / "a.mp4", ellipses(3))
    out, _ = _predicted(tmp_path / "a.mp4")
    written = {file.name: file.stat().st_mtime_ns for file in out.iterdir()}
    told: list[str] = []
    _predicted(tmp_path / "a.mp4", ClipOptions(quiet=True, tell=told.append))
    assert {file.name: file.stat().st_mtime_ns for file in out.iterdir()} == written
    assert "is done already" in told[0]
    (out / "a_masks.tif").unlink()
    _predicted(tmp_path / "a.mp4")
    assert (out / "a_masks.tif").exists()
    _predicted(tmp_path / "a.mp4", ClipOptions(quiet=True, smooth_frames=3))
    assert json.loads((out / "a_clip.json").read_text())["smooth_frames"] == 3


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    """The last frame is missing, which shows when the others are done."""
    draw_clip(tmp_path / "a.dcm", ellipses(9), None, *LOSSLESS["RLE"], **{**facts(9), "NumberOfFrames": 10})
    with pytest.raises(UserError, match="no frame 10 of the 10"):
        _predicted(tmp_path / "a.dcm")
    assert not list((tmp_path / "out").iterdir())


def test_few_frames_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_clip(tmp_path / "a.dcm", ellipses(40, (16, 16)), **facts(40))
    read = written = most = 0
    clip = module.open_clip(tmp_path / "a.dcm")

    def frames():
        nonlocal read, most
        for frame in clip.read():
            read += 1
            most = max(most, read - written)
            yield VideoFrame(frame.picture, frame.seconds)

    def measured(*arguments):
        nonlocal written
        written += 1
        return measure(*arguments)

    measure = module.measure_frame
    monkeypatch.setattr(module, "measure_frame", measured)
    monkeypatch.setattr(module, "open_clip", lambda path: module.ClipFile(**{**vars(clip), "read": frames}))
    _predicted(tmp_path / "a.dcm", ClipOptions(quiet=True, smooth_frames=5))
    assert written == 40
    # a batch, and half the window
    assert most <= 4 + 2


def test_names_that_clash(trained: Drawn, tmp_path: Path) -> None:
    ensemble = find_ensemble(trained.workspace, DATASET_ID, None)
    draw_video(tmp_path / "a.mp4", ellipses(1))
    draw_clip(tmp_path / "a.dcm", ellipses(1))
    with pytest.raises(UserError, match="Several clips are called a"):
        predict_clips([tmp_path / "a.mp4", tmp_path / "a.dcm"], tmp_path / "out", ensemble, CPU, QUIET)
    with pytest.raises(UserError, match="among the clips"):
        predict_clips([tmp_path / "a.mp4"], tmp_path, ensemble, CPU, QUIET)
    write_png(tmp_path / "a_areas.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match="share its name with the plot"):
        predict_clips([tmp_path / "a.mp4"], tmp_path / "out", ensemble, CPU, QUIET)


def test_one_broken_clip_does_not_stop_the_others(trained: Drawn, tmp_path: Path) -> None:
    ensemble = find_ensemble(trained.workspace, DATASET_ID, "2d", (0,))
    draw_video(tmp_path / "a.mp4", ellipses(2))
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:300])
    clips = [tmp_path / "b.mp4", tmp_path / "a.mp4"]
    summary = predict_clips(clips, tmp_path / "out", ensemble, CPU, ClipOptions(quiet=True, mirror=False))
    assert summary.frames == {"a": 2}
    assert list(summary.failed) == ["b.mp4"]
