"""Bounds on files of strangers."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.annotations import reading
from medt_pipeline.dataset_conversion.annotations.coco import read_coco
from medt_pipeline.dataset_conversion.annotations.geojson import read_geojson
from medt_pipeline.dataset_conversion.annotations.labelme import read_labelme


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a": NaN}', "NaN is no number"),
        ("{", "is not valid JSON"),
        ("1" * 5000, "is not valid JSON"),
    ],
    ids=["deep", "NaN", "cut off", "long number"],
)
def test_hostile_json(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        reading.load_json(path)
    assert str(path) in str(raised.value)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(UserError, match="is not valid JSON"):
        reading.load_json(path)


def test_large_and_absent_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="does not exist or is a folder"):
        reading.load_json(tmp_path)
    monkeypatch.setattr(reading, "MOST_BYTES", 5)
    path = tmp_path / "a.json"
    path.write_text("123456")
    with pytest.raises(UserError, match="split it into several files"):
        reading.load_json(path)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9", None, 10**9, float("inf")])
def test_lengths(value: object) -> None:
    with pytest.raises(UserError, match=r"a.json, image 1: .* is no number of pixels"):
        reading.to_length(value, Path("a.json"), "image 1")
    assert reading.to_length(640.0, Path("a.json"), "image 1") == 640


@pytest.mark.parametrize("values", [[], [[]], ()])
def test_no_points(values: object) -> None:
    assert reading.to_points(values, Path("a.json"), "shape 1").shape == (0, 2)


def test_huge_whole_numbers() -> None:
    with pytest.raises(UserError, match="not all numbers"):
        reading.to_points([[10**400, 1]], Path("a.json"), "shape 1")


RING = [[1, 1], [5, 1], [5, 5]]
VALID: dict[str, tuple[Callable[[Path], object], Any]] = {
    "labelme": (
        read_labelme,
        {
            "shapes": [
                {"label": "a", "points": RING, "shape_type": "polygon", "group_id": 1},
                {"label": "a", "points": [[1, 1], [2, 2]], "shape_type": "mask", "mask": "iVBORw0KGgo="},
            ],
            "imageHeight": 9,
            "imageWidth": 9,
        },
    ),
    "geojson": (
        read_geojson,
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "geometry": {"type": "MultiPolygon", "coordinates": [[RING]]},
                    "properties": {"classification": {"name": "a", "names": ["a"]}},
                },
                {
                    "geometry": {
                        "type": "GeometryCollection",
                        "geometries": [{"type": "Polygon", "coordinates": [RING]}],
                    }
                },
            ],
        },
    ),
    "coco": (
        read_coco,
        {
            "images": [{"id": 1, "file_name": "a.png", "height": 9, "width": 9}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]], "iscrowd": 0},
                {"image_id": 1, "category_id": 1, "segmentation": {"size": [9, 9], "counts": [40, 41]}},
                {"image_id": 1, "category_id": 1, "segmentation": {"size": [9, 9], "counts": "X1Y1"}},
            ],
            "categories": [{"id": 1, "name": "a"}],
        },
    ),
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "name"]), inner),
    max_leaves=5,
)


def places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield from places(value, (*place, key))


@pytest.mark.parametrize("format", VALID)
@given(st.data())
def test_whatever_stands_in_a_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, format: str, data: st.DataObject
) -> None:
    """Any part of a valid file replaced by any other JSON: the readers raise nothing but a UserError."""
    read, valid = VALID[format]
    content = {"": copy.deepcopy(valid)}
    place = ("", *data.draw(st.sampled_from(list(places(valid)))))
    holder: Any = content
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = data.draw(anything)
    path = tmp_path_factory.mktemp("fuzz") / "a.json"
    path.write_text(json.dumps(content[""]))
    with contextlib.suppress(UserError):
        read(path)
