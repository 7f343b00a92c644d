"""Areas are pixels times the area of a pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from medt_pipeline.slides.areas import ClassArea, measure_areas, write_areas
from medt_pipeline.slides.objects import Objects

FOUND = Objects(np.arange(3), {}, (), np.ones(3, int), np.array([400, 100, 1500]), np.array([1, 1, 3], np.uint8))
NAMES = {1: "gland", 2: "lumen", 3: 'a, "b"'}


def test_areas_by_class() -> None:
    gland, lumen, third = measure_areas(FOUND, NAMES, 0.5, 4000)
    assert gland == ClassArea("gland", 2, 500, 500 * 0.25e-6, 0.125)
    assert lumen == ClassArea("lumen", 0, 0, 0.0, 0.0)
    assert (third.objects, third.area_mm2) == (1, 1500 * 0.25e-6)
    assert measure_areas(FOUND, NAMES, None, 4000)[0].area_mm2 is None


def test_the_table_has_a_row_for_each_slide_and_class(tmp_path: Path) -> None:
    areas = measure_areas(FOUND, NAMES, 0.5, 4000)
    table = pd.read_csv(write_areas(tmp_path, {"one": areas, "two": areas}))
    assert table["slide"].tolist() == ["one"] * 3 + ["two"] * 3
    assert table["class"].tolist() == list(NAMES.values()) * 2
    assert table["area_mm2"].tolist()[:2] == [500 * 0.25e-6, 0]
