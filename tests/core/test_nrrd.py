"""NRRDs as ITK writes them, as Slicer writes them, and headers that claim what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image, read_mask
from medt_pipeline.core.nrrd import read_nrrd_header, read_nrrd_pixels

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
PLANE = np.arange(12, dtype=np.uint8).reshape(3, 4)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=3))),
    compressed=st.booleans(),
)
def test_what_itk_writes_comes_back(tmp_path: Path, pixels: np.ndarray, compressed: bool) -> None:
    path = tmp_path / "a.nrrd"
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing([0.5, 0.25, 3.0][: pixels.ndim])
    image.SetOrigin([7.0, -8.5, 9.0][: pixels.ndim])
    SimpleITK.WriteImage(image, path, compressed)
    header = read_nrrd_header(path)
    found = read_nrrd_pixels(path, header)
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == pixels.dtype
    assert header.spacing == image.GetSpacing()
    assert header.first == image.GetOrigin()


def written(path: Path, pixels: np.ndarray = PLANE, **fields: str) -> Path:
    """A file with these fields in place of the usual ones; a field that is "" is left out."""
    usual = {
        "type": "uint8",
        "dimension": str(pixels.ndim),
        "sizes": " ".join(map(str, pixels.shape[::-1])),
        "encoding": "raw",
    }
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in {**usual, **fields}.items() if value]
    path.write_bytes("\n".join(["NRRD0004", "# drawn", *lines, "", ""]).encode() + pixels.tobytes())
    return path


def test_spaces_become_that_of_itk(tmp_path: Path) -> None:
    for space, first in (
        ("left-posterior-superior", (1.0, 2.0, 3.0)),
        ("right-anterior-superior", (-1.0, -2.0, 3.0)),
        ("LAS", (1.0, -2.0, 3.0)),
    ):
        where = {"space_directions": "(2,0,0) (0,2,0) (0,0,1)", "space_origin": "(1,2,3)"}
        path = written(tmp_path / "a.nrrd", PLANE[None], space=space, **where)
        assert read_nrrd_header(path).first == first == SimpleITK.ReadImage(str(path)).GetOrigin()


def test_notes_and_line_ends_of_other_systems(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    lines = [
        "NRRD0005",
        "type: unsigned char",
        "dimension: 2",
        "sizes: 4 3",
        "Encoding: raw",
        "Segment0_Name:=gland",
        "",
    ]
    path.write_bytes("\r\n".join([*lines, ""]).encode() + PLANE.tobytes())
    assert read_nrrd_header(path).notes == {"Segment0_Name": "gland"}
    np.testing.assert_array_equal(read_mask(path), PLANE)


def test_layers_of_slicer_are_no_colours(tmp_path: Path) -> None:
    layers = np.zeros((1, 3, 4, 3), np.uint8)
    path = written(tmp_path / "a.seg.nrrd", layers, kinds="list domain domain domain")
    with pytest.raises(UserError, match="3 layers of segments that may overlap"):
        read_image(path)


def test_a_file_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((400, 400), np.uint8)), tmp_path / "a.nrrd", True)
    content = (tmp_path / "a.nrrd").read_bytes().replace(b"sizes: 400 400", b"sizes: 4 4")
    (tmp_path / "a.nrrd").write_bytes(content)
    with pytest.raises(UserError, match="17 bytes of pixels instead of 16"):
        read_image(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"data_file": "/etc/passwd"}, "does not hold its own pixels"),
        ({"datafile": "secret.raw"}, "does not hold its own pixels"),
        ({"sizes": "4 3 2"}, "sizes are 4 3 2 for dimension 2"),
        ({"sizes": "-4 -3"}, "sizes are"),
        ({"sizes": "4 30"}, "12 bytes of pixels instead of"),
        ({"sizes": "99999999 99999999"}, "more than is safe to read"),
        ({"type": "block"}, "block"),
        ({"type": "short"}, "endian"),
        ({"encoding": "bzip2"}, "bzip2"),
        ({"byte_skip": "-1"}, "byte skip"),
        ({"dimension": ""}, "dimension"),
        ({"space_directions": "(nan,0) (0,1)"}, "not finite"),
        ({"kinds": "vector domain"}, "one axis"),
    ],
    ids=str,
)
def test_headers_that_cannot_be(tmp_path: Path, fields: dict[str, str], reason: str) -> None:
    with pytest.raises(UserError, match=rf"a\.nrrd.*{reason}"):
        read_image(written(tmp_path / "a.nrrd", **fields))


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(b"PNG" + bytes(100))
    with pytest.raises(UserError, match="no NRRD header"):
        read_image(tmp_path / "a.nrrd")
