"""COCO tables: polygons, run lengths, crowds, and tables that contradict themselves."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.annotations.coco import read_coco
from medt_pipeline.dataset_conversion.annotations.drawing import draw
from tests.dataset_conversion.annotations.writers import coco, coco_runs, write_coco

SIZE = (12, 15)
SQUARE = [2, 1, 8, 1, 8, 7, 2, 7]
LABELS = {"gland": 1, "lumen": 2}


def labels_of(path: Path, picture: str = "a.png") -> np.ndarray:
    return draw(read_coco(path).pictures[picture].shapes, LABELS, SIZE).labels


def square() -> np.ndarray:
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[1:7, 2:8] = 1
    return expected


def test_polygons_of_several_parts_are_one_object(tmp_path: Path) -> None:
    entry = {"category": "gland", "segmentation": [SQUARE, [10, 9, 14, 9, 14, 11, 10, 11]]}
    path = write_coco(tmp_path / "c.json", {"a.png": (SIZE, [entry, {**entry, "segmentation": [SQUARE]}])}, [*LABELS])
    drawn = draw(read_coco(path).pictures["a.png"].shapes, LABELS, SIZE)
    assert (drawn.objects[9:11, 10:14] == 1).all()
    assert (drawn.objects[1:7, 2:8] == 2).all()


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths(tmp_path: Path, compressed: bool) -> None:
    mask = np.random.default_rng(0).random(SIZE) < 0.4
    path = write_coco(tmp_path / "c.json", {"a.png": (SIZE, [coco_runs("lumen", mask, compressed)])}, [*LABELS])
    np.testing.assert_array_equal(labels_of(path), 2 * mask)
    shape = read_coco(path).pictures["a.png"].shapes[0]
    assert shape.area == mask.sum()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(shape)).fill(SIZE).inside, shape.fill(SIZE).inside)  # noqa: S301 (our own)


def test_pictures_and_categories(tmp_path: Path) -> None:
    table = coco(
        {"sub/b.png": ((3, 4), []), "a.png": (SIZE, [{"category": "lumen", "segmentation": [SQUARE]}])}, [*LABELS]
    )
    table["categories"].reverse()
    path = tmp_path / "c.json"
    path.write_text(json.dumps(table))
    found = read_coco(path)
    assert found.categories == ("gland", "lumen")
    assert list(found.pictures) == ["sub/b.png", "a.png"]
    assert found.pictures["sub/b.png"].shapes == ()
    assert found.pictures["a.png"].size == SIZE


def test_crowds_and_boxes_are_told(tmp_path: Path) -> None:
    entries = [
        {"category": "gland", "segmentation": [SQUARE], "iscrowd": 1},
        {"category": "gland", "segmentation": [], "bbox": [1, 1, 3, 3]},
        {"category": "gland", "bbox": [1, 1, 3, 3]},
    ]
    path = write_coco(tmp_path / "c.json", {"a.png": (SIZE, entries)}, [*LABELS])
    assert read_coco(path).pictures["a.png"].notes == (
        "1 crowd region counted as one object each",
        "2 entries without area left out: 2 box",
    )
    np.testing.assert_array_equal(labels_of(path), square())


def test_a_box_as_polygon_has_no_area(tmp_path: Path) -> None:
    entry = {"category": "gland", "segmentation": [[1, 1, 3, 3]]}
    path = write_coco(tmp_path / "c.json", {"a.png": (SIZE, [entry])}, [*LABELS])
    assert draw(read_coco(path).pictures["a.png"].shapes, LABELS, SIZE).without_area == 1


def change(*keys: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def apply(table: dict[str, Any]) -> None:
        place: Any = table
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return apply


RUNS = {"size": [12, 15], "counts": [180]}
BROKEN = {
    "no categories": (lambda table: table.pop("categories"), "is not a COCO file"),
    "unknown picture": (change("annotations", 0, "image_id", to=99), "annotation 0 refers to a picture or category"),
    "unknown category": (change("annotations", 0, "category_id", to=None), "annotation 0 refers to a picture"),
    "two categories of one id": (change("categories", 1, "id", to=0), "every category needs an id of its own"),
    "category without name": (change("categories", 0, "name", to=None), "and a name"),
    "picture without name": (change("images", 0, "file_name", to=None), "image 7 lacks an id or a file name"),
    "picture listed twice": (lambda table: table["images"].append(table["images"][0]), "image 7 lacks an id"),
    "no height": (change("images", 0, "height", to=None), "image 7: None is no number of pixels"),
    "huge width": (change("images", 0, "width", to=10**12), "is no number of pixels"),
    "list of numbers": (change("annotations", to=[1]), "'annotations' must be a list of objects"),
    "text for polygon": (change("annotations", 0, "segmentation", to="x"), "neither polygons nor run lengths"),
    "odd number of coordinates": (change("annotations", 0, "segmentation", to=[[1, 2, 3]]), "no list of x and y"),
    "words for coordinates": (change("annotations", 0, "segmentation", to=[["1", "2"]]), "not all numbers"),
    "other size": (change("annotations", 0, "segmentation", to={**RUNS, "size": [15, 12]}), "for another size"),
    "counts of another size": (
        change("annotations", 0, "segmentation", to={**RUNS, "counts": [7]}),
        "add up to 7 pixels",
    ),
    "broken text": (change("annotations", 0, "segmentation", to={**RUNS, "counts": "oo"}), "end within a number"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_tables(tmp_path: Path, case: str) -> None:
    apply, message = BROKEN[case]
    table = coco({"a.png": (SIZE, [{"category": "gland", "segmentation": [SQUARE]}])}, [*LABELS])
    apply(table)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(table))
    with pytest.raises(UserError, match=message) as raised:
        read_coco(path)
    assert str(path) in str(raised.value)
