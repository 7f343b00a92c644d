"""Forms of files that libraries read as something else without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image, read_mask, read_palette, write_png

_LABELS = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)


def test_palette_tif_gives_indices_as_a_mask_and_colours_as_an_image(tmp_path: Path) -> None:
    table = np.zeros((3, 256), dtype=np.uint16)
    table[0, 1], table[1, 2] = 65535, 65535
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, _LABELS, photometric="palette", colormap=table)
    np.testing.assert_array_equal(read_mask(file), _LABELS)
    assert read_image(file)[0, 1].tolist() == [255, 0, 0]
    palette = read_palette(file)
    assert palette is not None
    assert palette[:3] == ["#000000", "#FF0000", "#00FF00"]


def test_palette_of_png_and_none_of_gray(tmp_path: Path) -> None:
    image = Image.fromarray(_LABELS, mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png")
    Image.fromarray(_LABELS).save(tmp_path / "gray.png")
    palette = read_palette(tmp_path / "a.png")
    assert palette is not None
    assert palette[:3] == ["#000000", "#FF0000", "#00FF00"]
    assert read_palette(tmp_path / "gray.png") is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tif_whose_zero_is_white(tmp_path: Path, dtype: type) -> None:
    shown = np.array([[0, 255], [7, 0]], dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", np.iinfo(dtype).max - shown, photometric="miniswhite")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), shown)


def test_tif_with_one_plane_a_channel(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(picture, -1, 0).copy(), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), picture)


def test_cmyk_tif_is_not_taken_for_rgb_with_alpha(tmp_path: Path) -> None:
    Image.new("CMYK", (6, 5), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif")[0, 0].tolist() == [255, 0, 0]


def test_png_with_colours_of_16_bits_is_refused_rather_than_cut(tmp_path: Path) -> None:
    codecs = pytest.importorskip("imagecodecs", reason="writes the PNG that Pillow cannot write")
    (tmp_path / "a.png").write_bytes(codecs.png_encode(np.full((4, 16, 3), 300, dtype=np.uint16)))
    with pytest.raises(UserError, match="colours of 16 bits a channel"):
        read_image(tmp_path / "a.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "b.png")
    assert read_image(tmp_path / "b.png").shape == (16, 16, 3)


def test_jpeg_2000(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.jp2")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jp2"), picture)
    deep = np.arange(384, dtype=np.uint16).reshape(16, 24) * 99
    Image.fromarray(deep).save(tmp_path / "b.jp2")
    np.testing.assert_array_equal(read_image(tmp_path / "b.jp2"), deep)
    with pytest.raises(UserError, match="cannot serve as a mask"):
        read_mask(tmp_path / "b.jp2")


def test_deep_colours_of_jpeg_2000_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "a.jp2")
    content = bytearray((tmp_path / "a.jp2").read_bytes())
    content[content.index(b"\xff\x4f\xff\x51") + 42] = 15  # 16 bits less one
    (tmp_path / "a.jp2").write_bytes(content)
    with pytest.raises(UserError, match="16 bits a channel"):
        read_image(tmp_path / "a.jp2")


@settings(max_examples=40)
@given(
    picture=st.one_of(
        arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9)),
        arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9)),
        arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    )
)
def test_what_is_written_as_png_is_what_others_read(
    tmp_path_factory: pytest.TempPathFactory, picture: np.ndarray
) -> None:
    file = tmp_path_factory.mktemp("png") / "a.png"
    write_png(file, picture)
    with Image.open(file) as image:
        np.testing.assert_array_equal(np.array(image), picture)
    read = read_image(file)
    np.testing.assert_array_equal(read, picture)
    assert read.dtype == picture.dtype


def test_strided_pictures_are_written_as_they_look(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3, 8, 6), dtype=np.uint8).transpose(1, 2, 0)[::2]
    write_png(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("channels", [(), (3,)], ids=["gray", "RGB"])
def test_png_forms_that_the_fast_reader_must_leave_to_pillow(tmp_path: Path, channels: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, *channels), dtype=np.uint8)
    image = Image.fromarray(pixels)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter
    image.save(tmp_path / "turned.png", exif=turned)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png"), np.rot90(pixels, -1))
    key = pixels[0, 0].tolist()
    image.save(tmp_path / "transparent.png", transparency=tuple(key) if channels else key)
    np.testing.assert_array_equal(read_image(tmp_path / "transparent.png"), pixels)


def test_gray_png_of_fewer_bits_is_stretched_as_pillow_does(tmp_path: Path) -> None:
    pixels = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    Image.fromarray(pixels).convert("1").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


def test_truncated_png_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    write_png(file, np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    whole = file.read_bytes()
    for content in (whole[:400], whole[:1000] + bytes(9) + whole[1009:]):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.png cannot be read as an image"):
            read_image(file)


def test_a_small_tiff_that_unfolds_to_gigabytes_is_refused(tmp_path: Path) -> None:
    black = np.zeros((1024, 1024), np.uint8)
    tiles = (black for _ in range(32 * 32))
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, tiles, shape=(2**15, 2**15), dtype=np.uint8, tile=(1024, 1024), compression="deflate")
    assert path.stat().st_size < 2**21
    for read in (read_image, read_mask):
        with pytest.raises(UserError, match="more than is safe to read"):
            read(path)


def test_a_tiff_of_very_many_strips_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((2**18 + 1, 2), np.uint8), rowsperstrip=1, compression="deflate")
    with pytest.raises(UserError, match="claims 262145 strips or tiles"):
        read_image(path)
