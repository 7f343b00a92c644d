"""Resampled pictures are Pillow's up to its rounding, and regions are exact parts of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medt_pipeline.core.resampling import reach_of, resample

PICTURE = np.random.default_rng(0).integers(0, 256, (83, 120, 3), dtype=np.uint8)
SIZE = PICTURE.shape[:2]


def whole(shape: tuple[int, int]) -> np.ndarray:
    step = (SIZE[0] / shape[0], SIZE[1] / shape[1])
    return resample(PICTURE, (0, 0), SIZE, step, (0, 0), shape)


@pytest.mark.parametrize("shape", [(83, 120), (41, 60), (30, 50), (7, 11), (1, 1), (100, 300)])
def test_the_whole_is_pillows(shape: tuple[int, int]) -> None:
    expected = np.asarray(Image.fromarray(PICTURE).resize(shape[::-1], Image.Resampling.BILINEAR))
    found = whole(shape)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_many_rows_are_done_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole((70, 40))
    monkeypatch.setattr("medt_pipeline.core.resampling.ROWS_AT_ONCE", 9)
    assert np.array_equal(whole((70, 40)), expected)


@given(st.data())
def test_a_region_is_part_of_the_whole(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 150)), data.draw(st.integers(1, 150)))
    step = (SIZE[0] / shape[0], SIZE[1] / shape[1])
    spans = []
    for length, wanted, one in zip(SIZE, shape, step, strict=True):
        first = data.draw(st.integers(0, wanted - 1))
        last = data.draw(st.integers(first + 1, wanted))
        begin = max(0, int(first * one) - reach_of(one))
        spans.append((first, last, begin, min(length, int(np.ceil(last * one)) + reach_of(one))))
    (top, bottom, y0, y1), (left, right, x0, x1) = spans
    part = resample(PICTURE[y0:y1, x0:x1], (y0, x0), SIZE, step, (top, left), (bottom - top, right - left))
    assert np.array_equal(part, whole(shape)[top:bottom, left:right])
