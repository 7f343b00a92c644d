from __future__ import annotations

import os
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace, new_dataset_name


def test_argument_then_variable_then_nnunet_then_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Workspace.locate().raw == tmp_path / "medt_workspace" / "raw"
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path / name))
    assert Workspace.locate() == Workspace(
        *(tmp_path / n for n in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"))
    )
    monkeypatch.setenv("MEDT_WORKSPACE", "elsewhere")
    assert Workspace.locate().results == tmp_path / "elsewhere" / "results"
    assert Workspace.locate(Path("here")).preprocessed == tmp_path / "here" / "preprocessed"


def test_locating_creates_nothing_and_activating_tells_nnunet(tmp_path: Path) -> None:
    workspace = Workspace.locate(tmp_path / "w")
    assert not list(tmp_path.iterdir())
    workspace.activate().activate()
    assert os.environ["nnUNet_raw"] == str(tmp_path / "w" / "raw")
    shim = os.environ["nnUNet_extTrainer"].split(os.pathsep)
    assert len(shim) == 1
    assert [path.name for path in Path(shim[0]).glob("*.py")] == ["trainer.py"] or (
        Path(shim[0]) / "trainer.py"
    ).exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "w").write_text("x")
    with pytest.raises(UserError, match="a file is in the way"):
        Workspace.locate(tmp_path / "w").activate()


def test_data_sets_are_found_by_id(tmp_path: Path) -> None:
    workspace = Workspace.locate(tmp_path)
    for name in ("raw/Dataset101_GlaS", "results/Dataset007_X", "raw/other"):
        (tmp_path / name).mkdir(parents=True)
    assert workspace.dataset_names() == ["Dataset007_X", "Dataset101_GlaS"]
    assert workspace.dataset_name(7) == "Dataset007_X"
    with pytest.raises(UserError, match=r"no data set 5 .*Dataset007_X, Dataset101_GlaS"):
        workspace.dataset_name(5)
    (tmp_path / "preprocessed/Dataset101_Other").mkdir(parents=True)
    with pytest.raises(UserError, match="ambiguous"):
        workspace.dataset_name(101)


@pytest.mark.parametrize(("number", "name"), [(0, "A"), (1000, "A"), (5, "a b"), (5, ""), (5, "../x")])
def test_names_and_ids_out_of_range(number: int, name: str) -> None:
    with pytest.raises(UserError):
        new_dataset_name(number, name)
