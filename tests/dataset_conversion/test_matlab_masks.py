"""Object numbers and classes in MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.matlab_masks import MatlabMask, read_arrays

OBJECTS = np.array([[0, 5, 5, 0], [9, 9, 0, 2]])
KINDS = {5: 3, 9: 1, 2: 7}
TYPES = np.vectorize(lambda number: KINDS.get(number, 0))(OBJECTS)


def saved(path: Path, **arrays: object) -> Path:
    savemat(path, arrays)
    return path


@pytest.mark.parametrize("dtype", [np.float64, np.uint16, np.int32])
def test_objects_alone(tmp_path: Path, dtype: type) -> None:
    path = saved(tmp_path / "a.mat", inst_map=OBJECTS.astype(dtype), junk=np.zeros(3))
    read = MatlabMask(path).read(OBJECTS.shape)
    np.testing.assert_array_equal(read.values, OBJECTS > 0)
    np.testing.assert_array_equal(read.objects, OBJECTS)


def test_classes_as_a_picture(tmp_path: Path) -> None:
    types = TYPES.copy()
    types[0, 1], types[1, 2] = 0, 4
    path = saved(tmp_path / "a.mat", inst_map=OBJECTS, type_map=types)
    read = MatlabMask(path, "type_map").read(OBJECTS.shape)
    np.testing.assert_array_equal(read.values, np.where(OBJECTS > 0, types, 0))
    assert read.repairs == ("1 pixels of objects have no class and are background",)


def test_classes_as_a_list(tmp_path: Path) -> None:
    # one object is not in the picture, and the list is in no order
    numbers = np.array([[9], [2], [5], [40]])
    kinds = np.array([[KINDS.get(int(number), 6)] for number in numbers[:, 0]])
    path = saved(tmp_path / "a.mat", inst_map=OBJECTS, id=numbers, **{"class": kinds})
    read = MatlabMask(path, "class").read(OBJECTS.shape)
    np.testing.assert_array_equal(read.values, TYPES)
    assert read.repairs == ()


def test_an_object_that_the_list_lacks(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", inst_map=OBJECTS, id=np.array([[5], [9]]), **{"class": np.array([[3], [1]])})
    read = MatlabMask(path, "class").read(OBJECTS.shape)
    np.testing.assert_array_equal(read.values, np.where(OBJECTS == 2, 0, TYPES))
    assert read.repairs == ("1 pixels of objects have no class and are background",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": OBJECTS}, "holds no numbers 'inst_map'"),
        ({"inst_map": np.array(["text"])}, "holds no numbers 'inst_map'"),
        ({"inst_map": OBJECTS + 0.5}, "not whole numbers"),
        ({"inst_map": np.zeros((2, 2, 2))}, "is no picture"),
    ],
)
def test_other_content(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    path = saved(tmp_path / "a.mat", **content)
    with pytest.raises(UserError, match=message):
        MatlabMask(path).read(OBJECTS.shape)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    whole = saved(tmp_path / "a.mat", inst_map=np.arange(10000).reshape(100, 100)).read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(100))
    for name, message in (
        ("broken", "cannot be read as a MATLAB file"),
        ("cut", "cannot be read as a MATLAB file"),
        ("new", "MATLAB 7.3"),
        ("absent", "is missing"),
    ):
        with pytest.raises(UserError, match=message):
            read_arrays(tmp_path / f"{name}.mat", ["inst_map"])
