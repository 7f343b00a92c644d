"""Overlaps, objects of several parts, and shapes that cannot be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.annotations import drawing
from medt_pipeline.dataset_conversion.annotations.drawing import draw
from medt_pipeline.dataset_conversion.annotations.shapes import Outline

SIZE = (20, 30)


def box(name: str, left: float, top: float, right: float, bottom: float, part_of: str | None = None) -> Outline:
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)
    return Outline(name, corners, part_of=part_of)


@pytest.mark.parametrize("order", [1, -1])
def test_the_smaller_object_keeps_its_pixels(order: int) -> None:
    gland, lumen = box("gland", 2, 2, 20, 18), box("lumen", 15, 5, 25, 9)
    drawn = draw([gland, lumen][::order], {"gland": 1, "lumen": 2}, SIZE)
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[2:18, 2:20] = 1
    expected[5:9, 15:25] = 2
    np.testing.assert_array_equal(drawn.labels, expected)
    # objects are numbered in the order of the file
    np.testing.assert_array_equal(drawn.objects, expected if order == 1 else np.array([0, 2, 1])[expected])
    assert (drawn.overlapped, drawn.contested_pixels) == (1, 4 * 5)
    assert drawn.repairs == ("1 shape overlapped by smaller ones, which keep the 20 shared pixels",)


def test_of_equal_objects_the_later_keeps_its_pixels() -> None:
    drawn = draw([box("a", 0, 0, 10, 10), box("a", 5, 0, 15, 10), box("a", 9, 0, 19, 10)], {"a": 1}, SIZE)
    np.testing.assert_array_equal(drawn.objects[0], [1] * 5 + [2] * 4 + [3] * 10 + [0] * 11)
    assert (drawn.overlapped, drawn.contested_pixels) == (2, 10 * (5 + 6 - 1))


def test_parts_are_one_object_and_do_not_contest_each_other() -> None:
    parts = [box("a", 0, 0, 6, 6, "1"), box("a", 4, 4, 9, 9, "1"), box("a", 20, 0, 22, 2), box("a", 25, 0, 27, 2, "1")]
    drawn = draw(parts, {"a": 1}, SIZE)
    assert drawn.repairs == ()
    assert drawn.objects.max() == 2
    assert (drawn.objects == 1).sum() == 36 + 25 - 4 + 4
    assert (drawn.objects[0:2, 20:22] == 2).all()


def test_touching_objects_share_nothing() -> None:
    drawn = draw([box("a", 0, 0, 7.5, 9), box("a", 7.5, 0, 12, 9)], {"a": 1}, SIZE)
    assert drawn.contested_pixels == 0
    assert (drawn.labels[:9, :12] == 1).all()


def test_background_erases_and_is_no_object() -> None:
    drawn = draw([box("a", 0, 0, 10, 10), box("none", 2, 2, 5, 5), box("a", 12, 12, 14, 14)], {"a": 1, "none": 0}, SIZE)
    assert not drawn.labels[2:5, 2:5].any()
    np.testing.assert_array_equal(np.unique(drawn.objects), [0, 1, 2])
    np.testing.assert_array_equal(drawn.objects > 0, drawn.labels > 0)


def test_what_cannot_be_drawn_is_counted() -> None:
    shapes = [
        box("a", 0, 0, 10, 10),
        Outline("a", np.array([(1.0, 1.0), (5.0, 5.0)])),
        Outline("a", np.array([(1.0, 1.0), (5.0, 5.0), (1.0, 1.0)])),
        box("a", 4.6, 4.6, 5.4, 5.4),
        box("a", 40, 40, 50, 50),
        box("a", 20, 0, 25, 5),
        box("a", 20, 0, 25, 5),
        box("other", 12, 12, 18, 18),
    ]
    drawn = draw(shapes, {"a": 1}, SIZE)
    assert (drawn.without_area, drawn.without_pixel, drawn.hidden, drawn.overlapped) == (2, 2, 1, 0)
    assert drawn.objects.max() == len(np.unique(drawn.objects)) - 1 == 2
    assert not drawn.labels[12:18, 12:18].any()
    assert drawn.repairs == (
        "2 shapes of fewer than three points left out",
        "2 shapes left out in which no pixel of the picture has its centre",
        "1 shape left out because smaller ones cover all of it",
    )


def test_nothing_to_draw() -> None:
    drawn = draw([], {"a": 1}, SIZE)
    assert not drawn.labels.any()
    assert not drawn.objects.any()
    assert drawn.repairs == ()


def test_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST_OBJECTS", 2)
    with pytest.raises(UserError, match="3 objects; at most 2"):
        draw([box("a", place, 0, place + 1, 5) for place in range(3)], {"a": 1}, SIZE)
