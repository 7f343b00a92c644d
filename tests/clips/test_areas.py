"""Areas and confidence by hand, and cells that are no formulas."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.clips.areas import FrameAreas, measure_frame, write_areas
from medt_pipeline.core.pixel_size import PixelSize

NAMES = {1: "lesion", 3: "=1+1"}


def test_areas_and_confidence() -> None:
    labels = np.array([[0, 1, 1], [3, 0, 0]])
    background = np.array([[0.9, 0.2, 0.4], [0.3, 0.8, 0.7]])
    found = measure_frame(4, 0.5, labels, np.stack([background, 1 - background]), NAMES)
    assert found.pixels == {1: 2, 3: 1}
    assert found.confidence == pytest.approx((0.8 + 0.6 + 0.7) / 3)
    empty = measure_frame(0, None, np.zeros((2, 2), int), np.ones((2, 2, 2)), NAMES)
    assert (empty.pixels, empty.confidence) == ({1: 0, 3: 0}, None)


def test_the_table(tmp_path: Path) -> None:
    rows = [FrameAreas(0, 0.0, {1: 2, 3: 0}, 0.75), FrameAreas(1, None, {1: 0, 3: 0}, None)]
    write_areas(tmp_path / "a.csv", rows, NAMES, PixelSize(200.0, 300.0, "drawn"))
    with (tmp_path / "a.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert table == [
        ["frame", "time_s", "lesion_px", "lesion_mm2", "'=1+1_px", "'=1+1_mm2", "confidence"],
        ["1", "0.000000", "2", "0.12", "0", "0", "0.7500"],
        ["2", "", "0", "0", "0", "0", ""],
    ]
    write_areas(tmp_path / "b.csv", rows, {1: 'a,"b"'}, None)
    with (tmp_path / "b.csv").open(newline="") as file:
        assert list(csv.reader(file))[:2] == [
            ["frame", "time_s", 'a,"b"_px', 'a,"b"_mm2', "confidence"],
            ["1", "0.000000", "2", "", "0.7500"],
        ]
