"""A label map in blocks reads as the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.slides import Window
from medt_pipeline.slides.store import BlockStore


@pytest.mark.parametrize("side", [16, 50, 200])
def test_any_window_reads_as_the_whole(tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medt_pipeline.slides.store.CACHE_BYTES", 4)
    labels = np.random.default_rng(0).integers(0, 5, (70, 110)).astype(np.uint8)
    labels[:side, :side] = 0  # without tissue: never written
    store = BlockStore(tmp_path, labels.shape, side)
    for place in store.places():
        window = store.window(place)
        if place != (0, 0):
            store.write(place, labels[window.top : window.bottom, window.left : window.right])
    assert (store.rows, store.columns) == (-(-70 // side), -(-110 // side))
    for window in (Window(0, 0, 70, 110), Window(15, 49, 17, 51), Window(69, 109, 70, 110), Window(0, 0, 70, 1)):
        expected = labels[window.top : window.bottom, window.left : window.right]
        assert np.array_equal(store.read(window), expected)
