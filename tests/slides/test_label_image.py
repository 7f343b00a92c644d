"""The label image is the label map, tiled and compressed, in levels of labels, with the size of its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from medt_pipeline.core.slides import open_slide
from medt_pipeline.slides.label_image import level_count, level_size, write_label_image
from medt_pipeline.slides.store import BlockStore


@pytest.mark.parametrize("size", [(1500, 2301), (30, 40)])
@pytest.mark.parametrize("microns", [0.5, None])
def test_levels_tiles_and_pixel_size(tmp_path: Path, size: tuple[int, int], microns: float | None) -> None:
    labels = np.random.default_rng(0).integers(0, 4, size).astype(np.uint8)
    stores = []
    for level in range(level_count(size, 1024)):
        store = BlockStore(tmp_path / str(level), level_size(size, level), 1024 >> level)
        reduced = labels[:: 2**level, :: 2**level]
        for place in store.places():
            window = store.window(place)
            store.write(place, reduced[window.top : window.bottom, window.left : window.right])
        stores.append(store)
    file = tmp_path / "a.ome.tif"
    write_label_image(file, stores, "a <b>", microns)
    with tifffile.TiffFile(file) as opened:
        assert opened.is_ome
        series = opened.series[0]
        assert series.axes == "YX"
        assert len(series.levels) == (3 if size[0] > 1000 else 1)
        for level, one in enumerate(series.levels):
            assert np.array_equal(one.asarray(), labels[:: 2**level, :: 2**level])
            assert one.pages[0].is_tiled
            assert one.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert open_slide(file).microns_per_pixel == microns


def test_the_pyramid_ends_with_blocks_of_a_pixel() -> None:
    assert level_count((10**6, 10**6), 16) == 5
    assert level_count((1024, 1024), 2048) == 1
    assert level_size((1025, 3), 1) == (513, 2)
