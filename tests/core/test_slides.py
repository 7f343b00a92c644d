"""Slides are told from pictures, read at any scale alike whatever the window, and tell the size of their pixels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.slides import MOST_PICTURE_PIXELS, Slide, Window, is_slide, list_slides, open_slide

RNG = np.random.default_rng(0)
PICTURE = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (60, 90, 3), dtype=np.uint8)).resize((720, 480), Image.Resampling.BICUBIC)
)


def write_pyramid(file: Path, ome: bool = False, microns: float | None = 0.25, levels: int = 3) -> Path:
    settings: dict = {"tile": (64, 64), "photometric": "rgb", "compression": "zlib"}
    if microns and not ome:
        settings |= {"resolution": (1e4 / microns, 1e4 / microns), "resolutionunit": "CENTIMETER"}
    size = {"PhysicalSizeX": microns, "PhysicalSizeY": microns} if microns else {}
    with tifffile.TiffWriter(file, ome=ome) as writer:
        for level in range(levels):
            own: dict = {"subfiletype": 1} if level else {"subifds": levels - 1} if ome else {}
            own["metadata"] = {"axes": "YXS", **size} if ome and not level else None
            writer.write(PICTURE[:: 2**level, :: 2**level], **own, **settings)
    return file


def write_aperio(file: Path) -> Path:
    """An SVS as Aperio's library writes it: tiled JPEG, a thumbnail in strips, levels, facts in the description."""
    told = "Aperio Image Library v12.0.15\n720x480 [0,0 720x480] (240x240) JPEG/RGB Q=90|AppMag = 20|MPP = 0.4990"
    settings: dict = {"photometric": "rgb", "compression": "jpeg", "metadata": None}
    with tifffile.TiffWriter(file) as writer:
        writer.write(PICTURE, tile=(240, 240), description=told, **settings)
        writer.write(PICTURE[::8, ::8], rowsperstrip=16, description=told, **settings)
        writer.write(PICTURE[::4, ::4], tile=(240, 240), description=told, **settings)
    return file


@pytest.fixture(params=["openslide", "tifffile"])
def slide(request: pytest.FixtureRequest, tmp_path: Path) -> Slide:
    return open_slide(write_pyramid(tmp_path / "a.tif", ome=request.param == "tifffile"))


def test_levels_are_read_as_they_are(slide: Slide) -> None:
    assert slide.size == (480, 720)
    for level in range(3):
        reduced = PICTURE[:: 2**level, :: 2**level]
        height, width = slide.size_at(2**level)
        assert (height, width) == reduced.shape[:2]
        last = Window(height - 1, width - 5, height, width)
        for window in (Window(0, 0, height, width), Window(33, 40, 100, 101), last):
            expected = reduced[window.top : window.bottom, window.left : window.right]
            assert np.array_equal(slide.read(window, 2**level), expected)


@pytest.mark.parametrize("scale", [0.5, 1.3, 2.0, 3.7, 9.1])
def test_a_pixel_does_not_depend_on_the_window_that_asks_for_it(slide: Slide, scale: float) -> None:
    height, width = slide.size_at(scale)
    whole = slide.read(Window(0, 0, height, width), scale)
    assert whole.shape == (height, width, 3)
    for top in range(0, height, 50):
        window = Window(top, width // 3, min(top + 50, height), width // 3 + 21)
        expected = whole[window.top : window.bottom, window.left : window.right]
        assert np.array_equal(slide.read(window, scale), expected)


def test_scales_between_levels_are_reduced_from_the_finer_one(slide: Slide) -> None:
    height, width = slide.size_at(3.2)
    found = slide.read(Window(0, 0, height, width), 3.2)
    expected = Image.fromarray(PICTURE[::2, ::2]).resize((width, height), Image.Resampling.BILINEAR)
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1  # Pillow rounds twice


def test_a_level_whose_size_was_rounded_is_used(tmp_path: Path) -> None:
    odd = PICTURE[:477, :701]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(odd, subifds=1, tile=(64, 64), photometric="rgb", metadata={"axes": "YXS"})
        writer.write(odd[1::2, 1::2], subfiletype=1, tile=(64, 64), photometric="rgb")
    slide = open_slide(tmp_path / "a.ome.tif")
    height, width = slide.size_at(2)
    whole = slide.read(Window(0, 0, height, width), 2)
    assert np.array_equal(whole[:237, :349], odd[1::2, 1::2][:237, :349])


def test_a_thumbnail_shows_the_whole_slide(slide: Slide) -> None:
    picture, scale = slide.thumbnail(100)
    assert picture.shape == (67, 100, 3)
    assert scale == 7.2
    small = np.asarray(Image.fromarray(PICTURE[::4, ::4]).resize((100, 67), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(picture - small).max() <= 1
    assert slide.thumbnail(10_000)[0].shape == PICTURE.shape


@pytest.mark.parametrize("ome", [False, True])
def test_the_pixel_size_is_told(tmp_path: Path, ome: bool) -> None:
    slide = open_slide(write_pyramid(tmp_path / "a.tif", ome))
    assert slide.microns_per_pixel == pytest.approx(0.25)
    silent = open_slide(write_pyramid(tmp_path / "b.tif", ome, microns=None))
    assert silent.microns_per_pixel is None


def test_the_resolution_of_a_screen_is_none(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", PICTURE, tile=(64, 64), photometric="rgb", resolution=(72, 72), resolutionunit="INCH"
    )
    assert open_slide(tmp_path / "a.tif").pixel_size is None


def test_an_aperio_slide_is_read(tmp_path: Path) -> None:
    slide = open_slide(write_aperio(tmp_path / "a.svs"))
    assert slide.microns_per_pixel == pytest.approx(0.499)
    assert slide.pixel_size is not None
    assert slide.pixel_size.source == "OpenSlide"
    assert np.abs(slide.read(Window(0, 0, 480, 720)).astype(int) - PICTURE).mean() < 4
    assert slide.size_at(4) == (120, 180)


def test_what_is_a_slide(tmp_path: Path) -> None:
    assert is_slide(write_pyramid(tmp_path / "pyramid.tif"))
    assert is_slide(write_pyramid(tmp_path / "pyramid.ome.tif", ome=True))
    assert not is_slide(write_pyramid(tmp_path / "flat.tif", levels=1))
    assert is_slide(tmp_path / "not_there.SVS")
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    (tmp_path / "broken.tif").write_bytes(b"II")
    assert not is_slide(tmp_path / "a.png")
    assert not is_slide(tmp_path / "broken.tif")
    assert [path.name for path in list_slides(tmp_path)] == ["pyramid.ome.tif", "pyramid.tif"]
    assert list_slides(tmp_path / "pyramid.tif") == [tmp_path / "pyramid.tif"]
    assert list_slides(tmp_path / "a.png") == []


def test_a_large_tiff_without_a_pyramid_is_a_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_PICTURE_PIXELS == 100_000_000
    monkeypatch.setattr("medt_pipeline.core.slides.MOST_PICTURE_PIXELS", 480 * 720 - 1)
    assert is_slide(write_pyramid(tmp_path / "flat.tif", levels=1))


def test_mistakes_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no\.svs does not exist"):
        open_slide(tmp_path / "no.svs")
    assert list_slides(tmp_path / "nowhere") == []
    (tmp_path / "a.svs").write_bytes(b"no slide")
    with pytest.raises(UserError, match="no slide that OpenSlide knows"):
        open_slide(tmp_path / "a.svs")
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(UserError, match=r"pip install medt_pipeline\[slides\]"):
        open_slide(tmp_path / "a.svs")


def test_broken_tiles_are_told(tmp_path: Path) -> None:
    file = write_pyramid(tmp_path / "a.ome.tif", ome=True)
    with tifffile.TiffFile(file) as opened:
        start = opened.pages[0].dataoffsets[0]
    content = bytearray(file.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.ome\.tif cannot be read at"):
        open_slide(file).read(Window(0, 0, 10, 10))


def test_windows_grow_to_the_border_only() -> None:
    window = Window(2, 30, 10, 38)
    assert window.shape == (8, 8)
    assert window.grown(5, (12, 100)) == Window(0, 25, 12, 43)
    assert window.within(Window(0, 25, 12, 43)) == (slice(2, 10), slice(5, 13))
