from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import (
    atomic_path,
    files_of_kind,
    make_folder,
    read_json,
    require_folder,
    scratch_folder,
    write_json,
)
from medt_pipeline.core.manifest import content_hash, environment


def test_a_file_is_complete_or_untouched(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_json_comes_back_and_broken_json_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, "ü"], "a": None})
    assert list(read_json(tmp_path / "a.json")) == ["b", "a"]
    (tmp_path / "a.json").write_text('{"b": ')
    with pytest.raises(UserError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match="is missing"):
        read_json(tmp_path / "b.json")


def test_folders_and_files_in_the_wrong_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file, but a folder of masks"):
        require_folder(tmp_path / "file", "masks")
    with pytest.raises(UserError, match="does not exist"):
        require_folder(tmp_path / "nowhere", "masks")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="a file is in the way"):
            make_folder(folder)


def test_hashes_do_not_depend_on_order_and_the_environment_names_versions() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1}) != content_hash({"a": 2, "b": 1})
    assert environment()["packages"]["nnunetv2"].startswith("2.8")


def test_a_scratch_folder_and_the_parents_it_needed_go_again(tmp_path: Path) -> None:
    parent = tmp_path / "new" / "raw"
    with pytest.raises(RuntimeError), scratch_folder(parent, "set") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a.png").write_text("x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with scratch_folder(parent, "set") as folder:
        folder.rename(parent / "Done")
    assert [path.name for path in parent.iterdir()] == ["Done"]


def test_a_temporary_name_keeps_a_double_ending(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("new")


def test_files_of_a_kind_are_found_in_a_folder_or_by_themselves(tmp_path: Path) -> None:
    for name in ("b.x", "a.x", ".c.x", "d.y"):
        (tmp_path / name).touch()
    (tmp_path / "folder.x").mkdir()

    def is_x(path: Path) -> bool:
        return path.suffix == ".x"

    assert files_of_kind(tmp_path, is_x) == [tmp_path / "a.x", tmp_path / "b.x"]
    assert files_of_kind(tmp_path / "b.x", is_x) == [tmp_path / "b.x"]
    assert files_of_kind(tmp_path / "d.y", is_x) == files_of_kind(tmp_path / "nowhere", is_x) == []
