"""XML of Aperio ImageScope: layers, holes, ellipses, and hostile files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.annotations.aperio_xml import read_aperio_xml, read_pixel_um
from medt_pipeline.dataset_conversion.annotations.drawing import draw

SIZE = (30, 40)


def region(points: list[tuple[float, float]], kind: int = 0, negative: int = 0) -> str:
    vertices = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in points)
    return f'<Region Id="5" Type="{kind}" NegativeROA="{negative}"><Vertices>{vertices}</Vertices></Region>'


def square(left: float, top: float, side: float, negative: int = 0) -> str:
    right, bottom = left + side, top + side
    return region([(left, top), (right, top), (right, bottom), (left, bottom)], 1, negative)


def write(folder: Path, *regions: str, attributes: str = "", name: str = "") -> Path:
    path = folder / "a.xml"
    layer = f'<Annotation Id="1" Name="{name}"><Regions>{"".join(regions)}</Regions></Annotation>'
    path.write_text(f"<Annotations {attributes}>{layer}</Annotations>")
    return path


def test_regions_and_pixel_size(tmp_path: Path) -> None:
    file = write(tmp_path, square(2, 3, 5), square(20, 3, 4), attributes='MicronsPerPixel="0.2527"')
    assert read_pixel_um(file) == 0.2527
    found = read_aperio_xml(file)
    assert [shape.name for shape in found.shapes] == ["", ""]
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[3:8, 2:7] = expected[3:7, 20:24] = 1
    np.testing.assert_array_equal(draw(found.shapes, {"": 1}, SIZE).labels, expected)


@pytest.mark.parametrize("size", ["", 'MicronsPerPixel="nan"', 'MicronsPerPixel="0"', 'MicronsPerPixel="x"'])
def test_untold_pixel_size(tmp_path: Path, size: str) -> None:
    assert read_pixel_um(write(tmp_path, attributes=size)) is None


def test_a_hole_belongs_to_the_smallest_region_around_it(tmp_path: Path) -> None:
    found = read_aperio_xml(write(tmp_path, square(6, 6, 3, 1), square(0, 0, 25), square(4, 4, 10), square(30, 5, 4)))
    assert [len(shape.holes) for shape in found.shapes] == [0, 1, 0]
    # the outer region shows through the hole of the inner one
    objects = draw(found.shapes, {"": 1}, SIZE).objects
    assert objects[7, 7] == objects[1, 1] == 1
    assert objects[5, 5] == 2


def test_a_hole_across_the_line_takes_only_what_is_inside(tmp_path: Path) -> None:
    found = read_aperio_xml(write(tmp_path, square(2, 2, 10), square(9, 4, 5, 1)))
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[2:12, 2:12] = 1
    expected[4:9, 9:12] = 0
    np.testing.assert_array_equal(draw(found.shapes, {"": 1}, SIZE).labels, expected)


def test_ellipse_from_the_corners_of_its_box(tmp_path: Path) -> None:
    y, x = np.indices(SIZE) + 0.5
    expected = ((x - 20) / 15) ** 2 + ((y - 14) / 8) ** 2 < 1
    found = read_aperio_xml(write(tmp_path, region([(5, 6), (35, 22)], kind=2), name=" tumour "))
    np.testing.assert_array_equal(draw(found.shapes, {"tumour": 1}, SIZE).labels, expected)


def test_what_has_no_area_is_told(tmp_path: Path) -> None:
    ruler = region([(1, 1), (5, 5)], kind=4)
    found = read_aperio_xml(write(tmp_path, ruler, square(9, 9, 3, 1), region([(1, 1), (2, 2)])))
    assert found.notes == ("2 entries without area left out: 1 hole without a region around it, 1 ruler",)
    assert draw(found.shapes, {"": 1}, SIZE).without_area == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Annotations>", "is not valid XML"),
        ("", "is not valid XML"),
        ("<annotation/>", "begins with 'annotation'"),
        ('<?xml version="1.0" encoding="nothing"?><Annotations/>', "is not valid XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Annotations/>', "document type or entities"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><Annotations/>', "document type or entities"),
    ],
)
def test_broken_and_hostile_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        read_aperio_xml(path)
    assert str(path) in str(raised.value)
    assert read_pixel_um(path) is None


@pytest.mark.parametrize(
    ("points", "message"),
    [([("x", 1)], "region 5: a vertex has no number"), ([("nan", 1)], "not finite"), ([(1, "1e300")], "pixels off")],
)
def test_broken_vertices(tmp_path: Path, points: list, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_aperio_xml(write(tmp_path, region(points)))
