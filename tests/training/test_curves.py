from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.training.checkpoint import read_checkpoint
from medt_pipeline.training.curves import COLUMNS, read_curves, write_curves
from tests.conftest import Drawn
from tests.training.test_training import MODEL, Interrupt, shorten, train


def logged(epochs: int, classes: int = 1, value: float = 0.5) -> dict[str, list]:
    """What nnU-Net's logger holds after some epochs of ten seconds."""
    lists: dict[str, list] = {key: [value] * epochs for key in COLUMNS.values()}
    lists["dice_per_class_or_region"] = [[value] * classes for _ in range(epochs)]
    lists["epoch_start_timestamps"] = [1e9 + 20.0 * epoch for epoch in range(epochs)]
    lists["epoch_end_timestamps"] = [1e9 + 20.0 * epoch + 10 for epoch in range(epochs)]
    return lists


def test_a_spreadsheet_reads_names_and_numbers(tmp_path: Path) -> None:
    lists = logged(2)
    lists["lrs"] = [0.003, 0.0015]
    lists["dice_per_class_or_region"] = [[0.25, math.nan], [0.5, 1.0]]
    write_curves(tmp_path, lists, ["gland", 'a, "b"'])
    table = pd.read_csv(tmp_path / "progress.csv")
    assert list(table.columns[:3]) == ["epoch", "seconds", "learning_rate"]
    assert table["epoch"].tolist() == [0, 1]
    assert table["seconds"].tolist() == [10, 10]
    assert table["learning_rate"].tolist() == [0.003, 0.0015]
    assert table["pseudo_dice_of_gland"].tolist() == [0.25, 0.5]
    assert table['pseudo_dice_of_a, "b"'].isna().tolist() == [True, False]


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=5))
def test_what_is_read_is_what_was_written_to_six_digits(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("curves")
    write_curves(folder, logged(len(values)) | {"train_losses": values}, ["gland"])
    read = read_curves(folder / "progress.csv")
    assert read["training_loss"] == pytest.approx(values, rel=1e-5, nan_ok=True)
    assert read["validation_loss"] == [0.5] * len(values)


def test_the_epoch_that_is_running_has_no_line(tmp_path: Path) -> None:
    lists = logged(2)
    lists["lrs"].append(0.1)
    write_curves(tmp_path, lists, ["gland"])
    assert read_curves(tmp_path / "progress.csv")["epoch"] == [0, 1]


def test_no_file_no_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "progress.csv") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a table"),
        ("epoch,seconds\n0,1\n", "has no column 'learning_rate'"),
        (f"epoch,seconds,{','.join(COLUMNS)}\n0,1,2\n", "is not a table"),
        (f"epoch,seconds,{','.join(COLUMNS)}\n0,1,x,0,0,0,0\n", "is not a table"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "progress.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_curves(file)


def assert_as_logged(fold: Path, epochs: int) -> None:
    table = pd.read_csv(fold / "progress.csv")
    logging = read_checkpoint(fold / "checkpoint_final.pth", torch.device("cpu"))["logging"]
    assert table["epoch"].tolist() == list(range(epochs))
    for column, key in COLUMNS.items():
        assert table[column].tolist() == pytest.approx(logging[key], rel=1e-5, nan_ok=True)
    dice = [one[0] for one in logging["dice_per_class_or_region"]]
    assert table["pseudo_dice_of_gland"].tolist() == pytest.approx(dice, rel=1e-5, nan_ok=True)


def test_a_training_writes_a_line_an_epoch(trained: Drawn) -> None:
    assert_as_logged(trained.workspace.results / MODEL / "fold_0", 2)


def test_an_interrupted_training_has_each_epoch_once(
    planned: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = planned.copy(tmp_path / "workspace", "results")
    shorten(small, epochs=3, gates_fixed_epochs=1)
    fold = small.workspace.results / MODEL / "fold_0"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Interrupt(patch, at=5)  # in the middle of epoch 2
        train(small)
    before = (fold / "progress.csv").read_text().splitlines()
    train(small, start="resume")
    assert (fold / "progress.csv").read_text().splitlines()[:3] == before
    assert_as_logged(fold, 3)
