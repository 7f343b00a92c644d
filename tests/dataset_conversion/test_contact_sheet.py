"""The contact sheet: which cases are shown, where their contours run, and that it is always the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.overlays import colour_of
from medt_pipeline.dataset_conversion import contact_sheet
from medt_pipeline.dataset_conversion.contact_sheet import SheetCase, draw_contact_sheet
from medt_pipeline.dataset_conversion.objects import find_objects

from .drawn import save

NAMES = {0: "background", 1: "gland", 2: "vessel"}


def sheet_case(root: Path, name: str, size: tuple[int, int], side: int, label: int = 1) -> SheetCase:
    """A gray image with one square object of `side` pixels in its lower right corner."""
    labels = np.zeros(size, np.uint8)
    labels[size[0] - side - 5 : size[0] - 5, size[1] - side - 5 : size[1] - 5] = label
    image = save(root / f"{name}_0000.png", np.full(size, 90, np.uint8))
    return SheetCase(name, image, save(root / f"{name}.png", labels), None, find_objects(labels))


def of_colour(picture: np.ndarray, label: int) -> np.ndarray:
    return (picture == colour_of(label)).all(-1)


def test_contours_stand_where_the_object_is(tmp_path: Path) -> None:
    case = sheet_case(tmp_path, "a", (360, 480), 100)
    cell = np.asarray(contact_sheet._overview(case).picture)
    assert cell.shape == (360, 480, 3)
    rows, columns = np.nonzero(of_colour(cell, 1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (255, 354, 375, 474)
    assert of_colour(cell, 1).sum() == 4 * 2 * 100 - 4 * 4
    assert not (cell[:250] != 90).any()


def test_objects_that_touch_have_a_line_each(tmp_path: Path) -> None:
    case = sheet_case(tmp_path, "a", (360, 480), 100)
    objects = np.zeros((360, 480), np.uint16)
    objects[:, :425], objects[:, 425:] = 1, 300
    labels = np.zeros((360, 480), np.uint8)
    labels[200:300, 400:450] = 1
    save(tmp_path / "a.png", labels)
    numbered = SheetCase("a", case.image, case.labels, save(tmp_path / "i.png", objects), case.objects)
    line = of_colour(np.asarray(contact_sheet._overview(numbered).picture), 1)
    assert line[250, 423:427].all()
    assert not line[250, 403:422].any()


def test_the_smallest_object_is_enlarged_and_framed(tmp_path: Path) -> None:
    case = sheet_case(tmp_path, "a", (400, 500), 3)
    assert case.objects.smallest is not None
    cell = contact_sheet._close_up(case, case.objects.smallest, NAMES)
    picture = np.asarray(cell.picture)
    assert cell.caption == "a: gland, 9 pixels"
    # 64 × 48 pixels of the image are shown, 7.5 times as large, moved into the image at its corner
    assert picture.shape == (360, 480, 3)
    assert of_colour(picture, 1).any()
    assert (picture == 255).all(-1).any()
    assert of_colour(picture, 1).nonzero()[0].min() > 360 * 0.7


def test_contours_of_many_small_objects_are_thin(tmp_path: Path) -> None:
    case = sheet_case(tmp_path, "a", (720, 960), 30)
    line = of_colour(np.asarray(contact_sheet._overview(case).picture), 1)
    assert line.sum() == 4 * 15 - 4


def test_a_large_object_is_shown_with_the_whole_image(tmp_path: Path) -> None:
    case = sheet_case(tmp_path, "a", (180, 240), 100)
    assert case.objects.largest is not None
    picture = contact_sheet._close_up(case, case.objects.largest, NAMES).picture
    whole = contact_sheet._overview(case).picture
    assert picture.size == whole.size == (480, 360)
    np.testing.assert_array_equal(of_colour(np.asarray(picture), 1), of_colour(np.asarray(whole), 1))


def test_large_and_small_are_found_among_all_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [sheet_case(tmp_path, f"c{side:02d}", (60, 80), side) for side in range(2, 42)]
    cases.append(SheetCase("empty", cases[0].image, cases[0].labels, None, find_objects(np.zeros((60, 80), np.uint8))))
    sections = {}
    monkeypatch.setattr(contact_sheet, "_compose", lambda title, found, names: sections.update(found))
    draw_contact_sheet("Set", cases, NAMES)
    sample, largest, smallest = sections.values()
    assert len(sample) == 12
    assert [cell.caption.split(":")[0] for cell in largest] == ["c41", "c40", "c39", "c38"]
    assert [cell.caption.split(":")[0] for cell in smallest] == ["c02", "c03", "c04", "c05"]


def test_the_sheet_is_always_the_same_and_grows_with_what_it_shows(tmp_path: Path) -> None:
    cases = [sheet_case(tmp_path, f"c{side}", (60, 80), side, 1 + side % 2) for side in (4, 9, 14)]
    sheet = draw_contact_sheet("Dataset001_Set", cases, NAMES)
    np.testing.assert_array_equal(sheet, draw_contact_sheet("Dataset001_Set", cases, NAMES))
    assert sheet.shape[1] == 2000
    assert all(of_colour(sheet, label).any() for label in (1, 2))
    empty = [SheetCase("e", cases[0].image, cases[0].labels, None, find_objects(np.zeros((60, 80), np.uint8)))]
    assert draw_contact_sheet("Set", empty, NAMES).shape[0] < sheet.shape[0]


def test_long_names_are_cut_to_the_picture(tmp_path: Path) -> None:
    case = sheet_case(tmp_path, "long" * 40, (60, 80), 9)
    sheet = draw_contact_sheet("Set", [case], {0: "background", 1: "a class with a name that is long" * 8})
    # nothing is written into the next column
    assert not sheet[-250:, 16 + 480 + 16 :].any()
