"""Any region of a TIFF is the same part of the picture, however its file is laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.tiff_regions import tiff_levels

RGB = np.random.default_rng(0).integers(0, 256, (130, 210, 3), dtype=np.uint8)
GRAY = RGB[..., 0]
LAYOUTS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "tiles": (RGB, {"tile": (64, 32), "photometric": "rgb"}),
    "deflated tiles": (RGB, {"tile": (64, 64), "photometric": "rgb", "compression": "zlib", "predictor": True}),
    "lzw strips": (RGB, {"rowsperstrip": 7, "photometric": "rgb", "compression": "lzw"}),
    "one strip": (RGB, {"photometric": "rgb"}),
    "planes": (RGB.transpose(2, 0, 1), {"tile": (32, 64), "photometric": "rgb", "planarconfig": "separate"}),
    "gray tiles": (GRAY, {"tile": (32, 32), "photometric": "minisblack"}),
    "white is zero": (255 - GRAY, {"tile": (32, 32), "photometric": "miniswhite"}),
    "opaque": (
        np.dstack([RGB, np.full_like(GRAY, 255)]),
        {"tile": (32, 32), "photometric": "rgb", "extrasamples": [2]},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_region_is_part_of_the_picture(tmp_path: Path, layout: str) -> None:
    picture, settings = LAYOUTS[layout]
    tifffile.imwrite(tmp_path / "a.tif", picture, **settings)
    (level,) = tiff_levels(tmp_path / "a.tif")
    expected = RGB if "gray" not in layout and "white" not in layout else np.repeat(GRAY[..., None], 3, 2)
    assert level.size == (130, 210)
    for top, left, bottom, right in ((0, 0, 130, 210), (10, 20, 11, 21), (60, 30, 70, 100), (120, 200, 130, 210)):
        found = level.read(top, left, bottom, right)
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected[top:bottom, left:right])


def test_pages_of_channels_are_colours(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(RGB.transpose(2, 0, 1), metadata={"axes": "CYX"}, tile=(32, 32), photometric="minisblack")
    (level,) = tiff_levels(tmp_path / "a.ome.tif")
    assert np.array_equal(level.read(5, 6, 99, 77), RGB[5:99, 6:77])


def test_the_levels_of_a_pyramid_are_given(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RGB, subifds=1, tile=(32, 32), photometric="rgb")
        writer.write(RGB[::2, ::2], subfiletype=1, tile=(32, 32), photometric="rgb")
    levels = tiff_levels(tmp_path / "a.tif")
    assert [level.size for level in levels] == [(130, 210), (65, 105)]
    assert np.array_equal(levels[1].read(0, 0, 65, 105), RGB[::2, ::2])


def test_few_tiles_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medt_pipeline.core.tiff_regions.CACHE_BYTES", 3 * 32 * 32 * 3)
    tifffile.imwrite(tmp_path / "a.tif", RGB, tile=(32, 32), photometric="rgb")
    (level,) = tiff_levels(tmp_path / "a.tif")
    for _ in range(2):
        assert np.array_equal(level.read(0, 0, 130, 210), RGB)
    assert len(level._cache) == 3


@pytest.mark.parametrize("picture", [np.zeros((40, 50), np.uint16), np.zeros((4, 40, 50, 3), np.uint8)])
def test_other_pixels_are_refused(tmp_path: Path, picture: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb" if picture.shape[-1] == 3 else "minisblack")
    with pytest.raises(UserError, match="gray or RGB of 8 bits"):
        tiff_levels(tmp_path / "a.tif")


def test_a_single_huge_strip_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medt_pipeline.core.tiff_regions.LARGEST_SEGMENT", 1000)
    tifffile.imwrite(tmp_path / "a.tif", RGB, rowsperstrip=130, photometric="rgb")
    with pytest.raises(UserError, match="is not tiled"):
        tiff_levels(tmp_path / "a.tif")


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0 broken")
    with pytest.raises(UserError, match="cannot be read as a TIFF"):
        tiff_levels(tmp_path / "a.tif")
