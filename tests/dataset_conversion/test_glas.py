"""The official GlaS archive: drawn small, and the real one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import glas
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.dataset_conversion.verification import verify
from medt_pipeline.planning.rules.folds import choose_folds

from .drawn import draw_glas, files_of, load, save, square


def target_in(root: Path) -> Target:
    return Target(Workspace.locate(root / "ws"), 101, "GlaS")


def test_layout_pixels_and_patients(tmp_path: Path) -> None:
    source, target = draw_glas(tmp_path / "glas"), target_in(tmp_path)
    summary = glas.convert(source, target)
    raw = target.folder
    assert sorted(files_of(raw)) == [
        "contact_sheet.png",
        "dataset.json",
        *(f"imagesTr/train_{number}_0000.png" for number in (1, 2, 3)),
        "imagesTs/testA_1_0000.png",
        "imagesTs/testB_1_0000.png",
        *(f"instancesTr/train_{number}.png" for number in (1, 2, 3)),
        "instancesTs/testA_1.png",
        *(f"labelsTr/train_{number}.png" for number in (1, 2, 3)),
        "labelsTs/testA_1.png",
        "medt_cases.json",
        "medt_conversion.json",
    ]
    objects = load(source / "train_2_anno.bmp")
    np.testing.assert_array_equal(load(raw / "imagesTr" / "train_2_0000.png"), load(source / "train_2.bmp"))
    np.testing.assert_array_equal(load(raw / "labelsTr" / "train_2.png"), objects > 0)
    np.testing.assert_array_equal(load(raw / "instancesTr" / "train_2.png"), objects)
    cases = read_cases(raw)
    assert {name: case.group for name, case in cases.items()} == {
        "train_1": "2",
        "train_2": "2",
        "train_3": "10",
        "testA_1": "4",
        "testB_1": "9",
    }
    assert cases["testB_1"].mask is None
    assert cases["train_3"].facts == {"grade": "malignant", "grade_2015": "poorly differentiated"}
    assert (summary.training_cases, summary.test_cases, summary.test_masks, summary.groups) == (3, 2, 1, 2)
    assert json.loads((raw / "dataset.json").read_text())["labels"] == {"background": 0, "gland": 1}


def test_more_objects_than_a_byte_holds(tmp_path: Path) -> None:
    source, target = draw_glas(tmp_path / "glas"), target_in(tmp_path)
    # BMP has no 16 bits: as colours, which are numbered in the order of their codes
    colours = np.zeros((12, 15, 3), dtype=np.uint8)
    colours[2:5, 2:5], colours[6:9, 6:9] = (200, 0, 0), (0, 9, 0)
    save(source / "train_1_anno.bmp", colours)
    glas.convert(source, target)
    objects = load(target.folder / "instancesTr" / "train_1.png")
    assert (objects[3, 3], objects[7, 7], objects[0, 0]) == (2, 1, 0)


def test_problems_are_told_together(tmp_path: Path) -> None:
    source, target = draw_glas(tmp_path / "glas"), target_in(tmp_path)
    (source / "train_1_anno.bmp").unlink()
    (source / "train_3.bmp").write_bytes(b"BM broken")
    save(source / "train_2_anno.bmp", square(1, (5, 20)))
    save(source / "train_9.bmp", square())
    save(source / "train_9_anno.bmp", square())
    with pytest.raises(UserError) as caught:
        glas.convert(source, target)
    message = str(caught.value)
    for sentence in (
        "4 problems",
        "has no patient for train_9",
        "have no counterpart (image train_1.bmp: no mask)",
        "train_3.bmp cannot be read",
        "train_2.bmp has 15×12 pixels, but its mask",
    ):
        assert sentence in message
    assert not (tmp_path / "ws").exists()


def test_skip_unpaired_lists_what_it_leaves_out(tmp_path: Path) -> None:
    source, target = draw_glas(tmp_path / "glas"), target_in(tmp_path)
    (source / "train_1_anno.bmp").unlink()
    summary = glas.convert(source, target, skip_unpaired=True)
    assert (summary.training_cases, summary.left_out) == (2, ("image train_1.bmp: no mask",))


def test_wrong_folders(tmp_path: Path) -> None:
    source, target = draw_glas(tmp_path / "glas"), target_in(tmp_path)
    (source / "Grade.csv").write_text("name;grade\n")
    with pytest.raises(UserError, match="lacks the columns"):
        glas.convert(source, target)
    for file in source.glob("*.bmp"):
        file.unlink()
    with pytest.raises(UserError, match="but no train_N.bmp"):
        glas.convert(source, target)
    (source / "Grade.csv").unlink()
    with pytest.raises(UserError, match="holds no folder with Grade.csv; give the folder or archive"):
        glas.convert(source, target)


def test_the_archive_and_the_folder_around_give_the_same(tmp_path: Path) -> None:
    source = draw_glas(tmp_path / "download" / "Warwick QU Dataset" / "inner")
    archive = Path(shutil.make_archive(str(tmp_path / "glas"), "zip", tmp_path / "download"))
    written = []
    for number, place in enumerate((source, tmp_path / "download", archive)):
        target = target_in(tmp_path / str(number))
        glas.convert(place, target)
        written.append(files_of(target.workspace.raw))
    assert written[0] == written[1] == written[2]


def test_problems_in_an_archive_name_the_archive(tmp_path: Path) -> None:
    source, target = draw_glas(tmp_path / "glas"), target_in(tmp_path)
    (source / "train_3.bmp").write_bytes(b"BM broken")
    archive = Path(shutil.make_archive(str(tmp_path / "all"), "zip", source))
    with pytest.raises(UserError, match=r"all\.zip/train_3\.bmp cannot be read"):
        glas.convert(archive, target)
    assert not (tmp_path / "ws").exists()


@pytest.mark.real_data
def test_the_real_archive(tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    source, target = real_data("glas"), target_in(tmp_path)
    summary = glas.convert(source, target)
    masks = list(source.glob("train_*_anno.bmp"))
    assert summary.training_cases == len(masks) == 85
    assert summary.groups == 15
    raw = target.folder
    for part in ("imagesTr", "labelsTr", "instancesTr"):
        assert len(list((raw / part).iterdir())) == 85
    for mask in masks[::10]:
        name = mask.stem.removesuffix("_anno")
        objects = load(mask)
        np.testing.assert_array_equal(load(raw / "instancesTr" / f"{name}.png"), objects)
        np.testing.assert_array_equal(load(raw / "labelsTr" / f"{name}.png"), objects > 0)
        np.testing.assert_array_equal(load(raw / "imagesTr" / f"{name}_0000.png"), load(source / f"{name}.bmp"))
    assert verify(raw).findings == ()
    cases = read_cases(raw)
    for fold in choose_folds({name: case.group for name, case in cases.items()}, 5).value:
        held_out, others = ({cases[name].group for name in fold[part]} for part in ("val", "train"))
        assert not held_out & others
    grades = [case.facts["grade"] for case in cases.values()]
    assert (grades.count("benign"), grades.count("malignant")) == (37, 48)
