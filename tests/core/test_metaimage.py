"""MetaImages as ITK writes them, and headers on which ITK crashed, never ended, or read another file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image
from medt_pipeline.core.metaimage import read_metaimage_header, read_metaimage_pixels

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=3))),
    compressed=st.booleans(),
)
def test_what_itk_writes_comes_back(tmp_path: Path, pixels: np.ndarray, compressed: bool) -> None:
    path = tmp_path / "a.mha"
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing([0.5, 0.25, 3.0][: pixels.ndim])
    image.SetOrigin([7.0, -8.5, 9.0][: pixels.ndim])
    SimpleITK.WriteImage(image, path, compressed)
    header = read_metaimage_header(path)
    found = read_metaimage_pixels(path, header)
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == pixels.dtype
    assert header.spacing == image.GetSpacing()
    assert header.placement == (*image.GetOrigin(), *image.GetDirection(), *image.GetSpacing())


def test_colours_come_back(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(colours, isVector=True), tmp_path / "a.mha")
    np.testing.assert_array_equal(read_image(tmp_path / "a.mha"), colours)


def test_high_bytes_first(tmp_path: Path) -> None:
    pixels = (np.arange(6).reshape(2, 3) * 300).astype(">u2")
    header = (
        b"NDims = 2\nDimSize = 3 2\nElementType = MET_USHORT\nElementByteOrderMSB = True\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.mha").write_bytes(header + pixels.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.mha"), pixels)


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    path = tmp_path / "whole.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.arange(20, dtype=np.uint8).reshape(1, 4, 5)), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        ("NDims = 3", "NDims = 99999999999999999999", "NDims is 9999"),
        ("NDims = 3", "NDims = -1", "NDims is -1"),
        ("NDims = 3", "Comment = 3", "'ndims' is missing"),
        ("DimSize = 5 4 1", "DimSize = 5 4 1 1 1 1 1", "DimSize has 7 numbers"),
        ("DimSize = 5 4 1", "DimSize = 5 4 -1", "DimSize is -1"),
        ("DimSize = 5 4 1", "DimSize = 5 4 2", "20 bytes of pixels instead of 40"),
        ("DimSize = 5 4 1", "DimSize = 50000 50000 1", "more than is safe to read"),
        ("Offset = 0 0 0", "Offset = 0", "offset is 0"),
        ("TransformMatrix = 1 0 0 0", "TransformMatrix = 1 0 0 nan", "transformmatrix is 1 0 0 nan"),
        ("NDims = 3", "NDims = 3\nElementNumberOfChannels = 4000000", "ElementNumberOfChannels is 4000000"),
        ("MET_UCHAR", "MET_OTHER", "ElementType MET_OTHER is not known"),
        ("CompressedData = False", "CompressedData = True", "incorrect header check"),
        ("CompressedData = False", "CompressedData = maybe", "neither True nor False"),
        ("BinaryData = True", "BinaryData = False", "written as text"),
        ("ElementDataFile = LOCAL", "ElementDataFile = other.raw", "does not hold its own pixels"),
    ],
)
def test_impossible_headers_are_refused(tmp_path: Path, whole: bytes, line: str, other: str, message: str) -> None:
    assert line.encode() in whole
    path = tmp_path / "broken.mha"
    path.write_bytes(whole.replace(line.encode(), other.encode()))
    with pytest.raises(UserError, match=message):
        read_image(path)


def test_a_matrix_on_which_itk_does_not_come_back(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.mha"
    path.write_bytes(whole.replace(b"TransformMatrix = 1 0 0 0", b"TransformMatrix = 1 0 0 -1e308"))
    np.testing.assert_array_equal(read_image(path), np.arange(20).reshape(4, 5))
