"""The plot is a picture that shows every class in its colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.clips.areas import FrameAreas
from medt_pipeline.clips.plot import write_plot
from medt_pipeline.core.overlays import colour_of
from medt_pipeline.core.pixel_size import PixelSize

NAMES = {2: "a", 4: "_$x^{"}


@pytest.mark.parametrize(("frames", "seconds"), [(1, 0.1), (40, None)])
def test_the_classes_are_there(tmp_path: Path, frames: int, seconds: float | None) -> None:
    rows = [
        FrameAreas(index, None if seconds is None else index * seconds, {2: 50 + index, 4: 20}, None if index else 0.5)
        for index in range(frames)
    ]
    write_plot(tmp_path / "a.png", rows, NAMES, PixelSize(100, 100, "drawn"))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (800, 500)
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for label in NAMES:
        assert (np.abs(pixels - colour_of(label)).max(1) < 8).any(), label
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_empty_masks(tmp_path: Path) -> None:
    write_plot(
        tmp_path / "a.png", [FrameAreas(0, None, {1: 0}, None), FrameAreas(1, None, {1: 0}, None)], {1: "a"}, None
    )
    assert (tmp_path / "a.png").exists()
