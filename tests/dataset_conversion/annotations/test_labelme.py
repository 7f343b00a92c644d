"""LabelMe files: each kind of shape, groups, and broken entries."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.annotations.drawing import Drawing, draw
from medt_pipeline.dataset_conversion.annotations.labelme import read_labelme

SIZE = (40, 50)


def file_with(folder: Path, *shapes: dict[str, Any], **more: Any) -> Path:
    path = folder / "a.json"
    content = {"version": "5.4.1", "shapes": shapes, "imageHeight": SIZE[0], "imageWidth": SIZE[1], "imageData": None}
    path.write_text(json.dumps({**content, **more}))
    return path


def shape(kind: str, points: list[list[float]], label: str = "a", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def drawn(path: Path) -> Drawing:
    return draw(read_labelme(path).shapes, {"a": 1, "b": 2}, SIZE)


def png(mask: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def test_polygon_without_shape_type(tmp_path: Path) -> None:
    polygon = shape("polygon", [[2, 3], [9, 3], [9, 8], [2, 8]], label=" a ")
    del polygon["shape_type"]
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[3:8, 2:9] = 1
    np.testing.assert_array_equal(drawn(file_with(tmp_path, polygon)).labels, expected)


@pytest.mark.parametrize("corners", [[[2, 3], [9, 8]], [[9, 8], [2, 3]], [[2, 8], [9, 3]]])
def test_rectangle_from_any_two_corners(tmp_path: Path, corners: list[list[float]]) -> None:
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[3:8, 2:9] = 1
    np.testing.assert_array_equal(drawn(file_with(tmp_path, shape("rectangle", corners))).labels, expected)


def test_circle(tmp_path: Path) -> None:
    y, x = np.indices(SIZE) + 0.5
    expected = (x - 20.3) ** 2 + (y - 18.1) ** 2 < 11.2**2
    circle = shape("circle", [[20.3, 18.1], [20.3, 18.1 + 11.2]])
    np.testing.assert_array_equal(drawn(file_with(tmp_path, circle)).labels, expected)


@pytest.mark.parametrize("values", [np.uint8, bool], ids=["gray", "1-bit"])
def test_mask(tmp_path: Path, values: type) -> None:
    inside = np.random.default_rng(0).random((6, 8)) < 0.5
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[5:11, 7:15] = inside
    one = shape("mask", [[7, 5], [14, 10]], mask=png(inside.astype(values)))
    np.testing.assert_array_equal(drawn(file_with(tmp_path, one)).labels, expected)


def test_one_label_and_group_is_one_object(tmp_path: Path) -> None:
    def square(left: float, **more: Any) -> dict[str, Any]:
        return shape("rectangle", [[left, 0], [left + 5, 5]], **more)

    path = file_with(
        tmp_path,
        square(0, group_id=1),
        square(8, group_id=1),
        square(16),
        square(24),
        square(32, group_id=1, label="b"),
    )
    np.testing.assert_array_equal(drawn(path).objects[0, ::8][:5], [1, 1, 2, 3, 4])


def test_what_has_no_area_is_told(tmp_path: Path) -> None:
    path = file_with(
        tmp_path, shape("point", [[1, 1]]), shape("linestrip", [[1, 1], [2, 2], [9, 3]]), shape("point", [[2, 1]])
    )
    found = read_labelme(path)
    assert found.shapes == ()
    assert found.notes == ("3 entries without area left out: 1 linestrip, 2 point",)
    assert found.size == SIZE


def test_size_may_be_untold(tmp_path: Path) -> None:
    assert read_labelme(file_with(tmp_path, imageHeight=None)).size is None


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (shape("ellipse", [[1, 1], [2, 2]]), "'ellipse' of 2 points is not understood"),
        (shape("circle", [[1, 1]]), "'circle' of 1 points is not understood"),
        (shape("polygon", [[1, 1], [2, float("inf")]]), "Infinity is no number"),
        (shape("polygon", [[1, 1], [2, 1e7], [3, 3]]), "1e.07 pixels off"),
        (shape("polygon", [[0, y] for y in (0, 999999) * 8]), "longer than any picture needs"),
        (shape("polygon", [["1", 1]]), "not all numbers"),
        (shape("polygon", [[1, 1], [1]]), "not all numbers"),
        (shape("polygon", {"x": 1}), "not all numbers"),
        (shape("mask", [[1, 1], [2, 2]]), "mask cannot be read"),
        (shape("mask", [[1, 1], [2, 2]], mask="!"), "mask cannot be read"),
        (shape("mask", [[1, 1], [2, 2]], mask=base64.b64encode(b"GIF89a").decode()), "mask cannot be read"),
        (shape("mask", [], mask=png(np.ones((2, 2), np.uint8))), "mask cannot be read"),
    ],
)
def test_broken_shapes(tmp_path: Path, one: dict[str, Any], message: str) -> None:
    path = file_with(tmp_path, one)
    with pytest.raises(UserError, match=message) as raised:
        read_labelme(path)
    assert str(path) in str(raised.value)


def test_another_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[]")
    with pytest.raises(UserError, match="is not a LabelMe file"):
        read_labelme(path)
