"""GeoJSON of QuPath: holes, several parts, classes old and new, and what is no shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.annotations.drawing import draw
from medt_pipeline.dataset_conversion.annotations.geojson import read_geojson

SIZE = (20, 30)


def square(left: float, top: float, side: float) -> list[list[float]]:
    right, bottom = left + side, top + side
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(kind: str, coordinates: Any, properties: Any = None) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def write(folder: Path, content: Any) -> Path:
    path = folder / "a.geojson"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("form", ["FeatureCollection", "list", "Feature"])
def test_polygon_with_hole_in_any_form(tmp_path: Path, form: str) -> None:
    one = feature("Polygon", [square(2, 2, 10), square(4, 5, 3)])
    content = {"FeatureCollection": {"type": form, "features": [one]}, "list": [one], "Feature": one}[form]
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[2:12, 2:12] = 1
    expected[5:8, 4:7] = 0
    shapes = read_geojson(write(tmp_path, content)).shapes
    np.testing.assert_array_equal(draw(shapes, {"": 1}, SIZE).labels, expected)


@pytest.mark.parametrize("nested", [True, False], ids=["GeometryCollection", "MultiPolygon"])
def test_parts_are_one_object(tmp_path: Path, nested: bool) -> None:
    polygons = [[square(2, 2, 6), square(3, 3, 2)], [square(20, 2, 5)]]
    one = feature("MultiPolygon", polygons)
    if nested:
        members = [{"type": "Polygon", "coordinates": polygon} for polygon in polygons]
        one["geometry"] = {"type": "GeometryCollection", "geometries": members}
    drawn = draw(read_geojson(write(tmp_path, [one, feature("Polygon", [square(10, 10, 2)])])).shapes, {"": 1}, SIZE)
    assert drawn.objects[2, 2] == drawn.objects[2, 20] == 1
    assert drawn.objects[3, 3] == 0
    assert drawn.objects[10, 10] == 2


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"classification": {"name": " Tumor ", "colorRGB": -3670016}}, "Tumor"),
        ({"classification": {"name": "Tumor", "color": [1, 2, 3]}, "objectType": "cell"}, "Tumor"),
        ({"classification": {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}}, "Tumor: Positive"),
        ({"objectType": "annotation"}, ""),
        ({"classification": None}, ""),
        (None, ""),
    ],
)
def test_classes(tmp_path: Path, properties: Any, name: str) -> None:
    (shape,) = read_geojson(write(tmp_path, [feature("Polygon", [square(1, 1, 5)], properties)])).shapes
    assert shape.name == name


def test_heights_are_dropped(tmp_path: Path) -> None:
    (shape,) = read_geojson(write(tmp_path, [feature("Polygon", [[[1, 1, 0], [5, 1, 0], [5, 5, 9]]])])).shapes
    assert shape.area == 8


def test_what_has_no_area_is_told(tmp_path: Path) -> None:
    content = [feature("Point", [1, 1]), feature("LineString", [[1, 1], [2, 2]]), feature("Polygon", [])]
    found = read_geojson(write(tmp_path, content))
    assert found.notes == ("2 entries without area left out: 1 LineString, 1 Point",)
    assert draw(found.shapes, {"": 1}, SIZE).without_area == 1
    assert read_geojson(write(tmp_path, [])).shapes == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"shapes": []}, "its type is None"),
        ({"type": "Polygon", "coordinates": []}, "its type is 'Polygon'"),
        ({"type": "FeatureCollection"}, "features must be a list"),
        ([1], "features must be a list"),
        ([{"type": "Feature", "geometry": None}], "feature 1 has no geometry"),
        ([feature("Polygon", None)], "feature 1: the coordinates are no list of lines"),
        ([feature("MultiPolygon", [1])], "no list of lines"),
        ([feature("Polygon", [[1, 2, 3]])], "no list of x and y"),
        ([feature("Polygon", [[[1, 2], [3, None]]])], "not all numbers"),
    ],
)
def test_broken_files(tmp_path: Path, content: Any, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(UserError, match=message) as raised:
        read_geojson(path)
    assert str(path) in str(raised.value)
