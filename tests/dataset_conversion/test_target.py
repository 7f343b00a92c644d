"""What a conversion finds that another one left which was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.target import Target


def make(tmp_path: Path, **options: bool) -> Target:
    return Target(Workspace.locate(tmp_path), 7, "Set", **options)


def write(target: Target, text: str) -> None:
    with target.building() as folder:
        (folder / "a").write_text(text)


def test_a_data_set_that_was_being_replaced_comes_back_and_what_was_unfinished_goes(tmp_path: Path) -> None:
    target = make(tmp_path, overwrite=True)
    write(target, "old")
    # As if it had been killed when the old one had been moved and the new one not.
    target.folder.rename(target.workspace.raw / ".Dataset007_Set.0f.old")
    (target.workspace.raw / ".Dataset007_Set.0f.part").mkdir()
    (target.workspace.raw / ".Dataset008_Other.0f.part").mkdir()
    with pytest.raises(RuntimeError), target.building():
        raise RuntimeError
    assert (target.folder / "a").read_text() == "old"
    write(target, "new")
    assert (target.folder / "a").read_text() == "new"
    names = {path.name for path in target.workspace.raw.iterdir()}
    assert names == {"Dataset007_Set", ".Dataset008_Other.0f.part"}


def test_what_was_replaced_already_goes(tmp_path: Path) -> None:
    target = make(tmp_path, overwrite=True)
    write(target, "new")
    (target.workspace.raw / ".Dataset007_Set.0f.old").mkdir()
    write(target, "newer")
    assert (target.folder / "a").read_text() == "newer"
    assert not list(target.workspace.raw.glob(".*.old"))


def test_a_data_set_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = make(tmp_path)
    target.check()
    write(target, "of another process")
    with pytest.raises(UserError, match=r"exists; take another id"):
        write(target, "mine")
    assert (target.folder / "a").read_text() == "of another process"
