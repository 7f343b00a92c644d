"""The published code's folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import medt_layout
from medt_pipeline.dataset_conversion.target import Target

from .drawn import files_of, load, picture, save, square


def draw(folder: Path, names: tuple[str, ...], seed: int = 0) -> None:
    for number, name in enumerate(names):
        save(folder / "img" / f"{name}.png", picture(seed + number))
        save(folder / "labelcol" / f"{name}.png", square())


def target_in(root: Path) -> Target:
    return Target(Workspace.locate(root / "ws"), 120, "Prepared")


def test_flat_layout_is_cut_at_127(tmp_path: Path) -> None:
    draw(tmp_path / "src", ("a", "b"))
    soft = picture(3, channels=1)
    soft[0, :3] = 127, 128, 255
    save(tmp_path / "src" / "labelcol" / "a.png", soft)
    target = target_in(tmp_path)
    medt_layout.convert(tmp_path / "src", target)
    np.testing.assert_array_equal(load(target.folder / "labelsTr" / "a.png"), soft > 127)


def test_parts(tmp_path: Path) -> None:
    for seed, (split, names) in enumerate({"train": ("a", "b"), "val": ("c",), "test": ("d", "e")}.items()):
        draw(tmp_path / "src" / split, names, 10 * seed)
    target = target_in(tmp_path)
    summary = medt_layout.convert(tmp_path / "src", target)
    assert (summary.training_cases, summary.test_cases, summary.test_masks) == (3, 2, 2)
    assert {path.name for path in (target.folder / "labelsTs").iterdir()} == {"d.png", "e.png"}
    assert set(read_cases(target.folder)) == {"a", "b", "c", "d", "e"}


def test_parts_that_count_from_one_each(tmp_path: Path) -> None:
    draw(tmp_path / "src" / "train", ("0001", "0002"))
    # the same picture as train/0001, and no masks
    draw(tmp_path / "src" / "test", ("0001",))
    (tmp_path / "src" / "test" / "labelcol" / "0001.png").unlink()
    (tmp_path / "src" / "test" / "labelcol").rmdir()
    target = target_in(tmp_path)
    summary = medt_layout.convert(tmp_path / "src", target)
    assert {name for name in files_of(target.folder) if "images" in name} == {
        "imagesTr/train_0001_0000.png",
        "imagesTr/train_0002_0000.png",
        "imagesTs/test_0001_0000.png",
    }
    assert "test_0001 = train_0001; some are for training, some for testing" in summary.duplicates[0]


def test_coloured_masks_are_not_cut(tmp_path: Path) -> None:
    draw(tmp_path / "src", ("a",))
    save(tmp_path / "src" / "labelcol" / "a.png", picture(1))
    with pytest.raises(UserError, match="colour picture, for which a threshold says nothing"):
        medt_layout.convert(tmp_path / "src", target_in(tmp_path))


def test_masks_of_0_and_1_are_not_taken_for_empty(tmp_path: Path) -> None:
    draw(tmp_path / "src", ("a",))
    save(tmp_path / "src" / "labelcol" / "a.png", square(1))
    with pytest.raises(UserError, match="No mask has a foreground pixel"):
        medt_layout.convert(tmp_path / "src", target_in(tmp_path))


def test_wrong_folders(tmp_path: Path) -> None:
    draw(tmp_path / "src", ("a",))
    with pytest.raises(UserError, match="holds neither img/ nor train/img/"):
        medt_layout.convert(tmp_path, target_in(tmp_path))
    draw(tmp_path / "src" / "train", ("b",))
    with pytest.raises(UserError, match="holds both img/ and train/"):
        medt_layout.convert(tmp_path / "src", target_in(tmp_path))
    draw(tmp_path / "only" / "test", ("a",))
    with pytest.raises(UserError, match="no training case"):
        medt_layout.convert(tmp_path / "only", target_in(tmp_path))
