"""Pictures come back at their times, by PyAV alone."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from medt_pipeline.clips import overlay_video as module
from medt_pipeline.clips.overlay_video import ENCODERS, overlay_video
from medt_pipeline.core.errors import UserError
from tests.clips.drawn_clips import read_video


def _pictures(size: tuple[int, int], frames: int = 4) -> np.ndarray:
    drawn = np.full((frames, *size, 3), 60, np.uint8)
    for index, picture in enumerate(drawn):
        picture[10:40, 10 + 4 * index : 60 + 4 * index] = (230, 200, 60)
    return drawn


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name in av.codecs_available])
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_pictures(tmp_path: Path, size: tuple[int, int], encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENCODERS", (encoder,))
    drawn = _pictures(size)
    with overlay_video(tmp_path / "a.mp4", 25) as add:
        for index, picture in enumerate(drawn):
            add(picture, 0.04 * index)
    read = read_video(tmp_path / "a.mp4")
    assert read.shape == (4, size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert np.abs(read[:, : size[0], : size[1]].astype(int) - drawn).mean() < 6


@pytest.mark.parametrize(
    ("seconds", "rate", "expected"),
    [
        ([0.0, 0.1, 0.5, 0.6], 8.0, [0, 0.1, 0.5, 0.6]),
        ([None] * 4, 20.0, [0, 0.05, 0.1, 0.15]),
        ([None] * 4, None, [0, 0.1, 0.2, 0.3]),
        ([0.0, 0.0, -1.0, 2.0], 8.0, [0, 0.001, 0.002, 2.0]),
    ],
)
def test_times(tmp_path: Path, seconds: list[float | None], rate: float | None, expected: list[float]) -> None:
    with overlay_video(tmp_path / "a.mp4", rate) as add:
        for picture, second in zip(_pictures((64, 96)), seconds, strict=True):
            add(picture, second)
    with av.open(str(tmp_path / "a.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert np.subtract(times, times[0]) == pytest.approx(expected, abs=2e-3)


def test_nothing_is_left_of_an_unfinished_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError), overlay_video(tmp_path / "a.mp4", 25) as add:
        add(_pictures((64, 96))[0], 0.0)
        raise KeyError
    monkeypatch.setattr(module, "ENCODERS", ("no_such_encoder",))
    with pytest.raises(UserError, match="brings none of no_such_encoder"), overlay_video(tmp_path / "a.mp4", 25):
        pass
    assert not list(tmp_path.iterdir())
