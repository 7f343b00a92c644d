from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.training.cross_validation import CrossValidation, FoldScore, cross_validate
from medt_pipeline.training.run import TrainingOptions
from medt_pipeline.training.trainer import nnUNetTrainerMedT
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn
from tests.training.test_training import Interrupt, shorten

CPU = torch.device("cpu")
OPTIONS = TrainingOptions(quiet=True)


@pytest.fixture
def small(planned: Drawn, tmp_path: Path) -> Drawn:
    """A copy with one epoch of two iterations and two folds."""
    copy = planned.copy(tmp_path / "workspace", "results")
    shorten(copy, epochs=1, gates_fixed_epochs=0, warmup_epochs=0)
    splits = copy.preprocessed / "splits_final.json"
    splits.write_text(json.dumps(json.loads(splits.read_text())[:2]))
    return copy


def test_the_table_has_mean_and_deviation_of_each_configuration() -> None:
    folds = tuple(FoldScore("2d", fold, 10, dice, dice - 0.1) for fold, dice in enumerate((0.7, 0.8, 0.9)))
    folds += (FoldScore("2d_unet", 0, 10, 0.5, 0.4),)
    result = CrossValidation(folds, Path("x"))
    spread = result.spread("2d", "dice")
    assert spread.mean == pytest.approx(0.8)
    assert spread.sd == pytest.approx(statistics.stdev([0.7, 0.8, 0.9]))
    assert result.spread("2d_unet", "iou").sd == 0
    assert "0.800 ± 0.100" in result.to_text()
    assert "0.500 ± 0.000" in result.to_text()


def test_interrupted_anywhere_it_ends_in_the_table_of_an_undisturbed_run(small: Drawn, tmp_path: Path) -> None:
    whole = small.copy(tmp_path / "whole")
    told: list[str] = []
    expected = cross_validate(DATASET_ID, whole.workspace.activate(), CPU, ["2d"], OPTIONS, report=told.append)
    assert [line.split(":")[0] for line in told] == ["2d fold 0", "2d fold 1"]
    workspace = small.workspace.activate()
    for step in (1, 3):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            Interrupt(patch, at=step)
            cross_validate(DATASET_ID, workspace, CPU, ["2d"], OPTIONS)
    assert cross_validate(DATASET_ID, workspace, CPU, ["2d"], OPTIONS).folds == expected.folds


def test_what_is_trained_is_not_trained_again_and_probabilities_are_kept(
    small: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = small.workspace.activate()
    first = cross_validate(DATASET_ID, workspace, CPU, ["2d"], OPTIONS)
    folder = workspace.results / DATASET_NAME / "nnUNetTrainerMedT__MedTPlans__2d"
    kept = sorted(folder.glob("fold_*/validation/*.npz"))
    assert len(kept) == sum(one.images for one in first.folds)
    with np.load(kept[0]) as arrays:
        assert arrays["probabilities"].dtype == np.float16
        assert arrays["probabilities"].shape == (2, 1, 64, 96)

    def fail(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(nnUNetTrainerMedT, "run_training", fail)
    monkeypatch.setattr(nnUNetTrainerMedT, "predict_held_out", fail)
    assert cross_validate(DATASET_ID, workspace, CPU, ["2d"], OPTIONS) == first
    assert json.loads(first.file.read_text())["over_folds"]["2d"]["dice"]["mean"] == first.spread("2d", "dice").mean


@pytest.mark.slow
def test_folds_trained_at_once_give_the_same_table_and_failures_are_named(small: Drawn, tmp_path: Path) -> None:
    whole = small.copy(tmp_path / "whole")
    # A thread more or less changes the order in which sums are rounded, so scores are compared, not bits.
    expected = cross_validate(DATASET_ID, whole.workspace.activate(), CPU, ["2d"], OPTIONS)
    workspace = small.workspace.activate()
    with pytest.raises(UserError, match=r"2 of 4 folds failed:\n  - 2d_nothing fold 0: error: The plans of .* have no"):
        cross_validate(DATASET_ID, workspace, CPU, ["2d", "2d_nothing"], OPTIONS, jobs=2)
    found = cross_validate(DATASET_ID, workspace, CPU, ["2d"], OPTIONS, jobs=2)
    for one, other in zip(found.folds, expected.folds, strict=True):
        assert one.dice == pytest.approx(other.dice, abs=0.02)


def test_a_set_that_is_not_planned_or_has_no_folds_is_named(small: Drawn) -> None:
    splits = small.preprocessed / "splits_final.json"
    splits.write_text("[]")
    with pytest.raises(UserError, match=f"has no folds: too few groups; `medt_train {DATASET_ID} all`"):
        cross_validate(DATASET_ID, small.workspace.activate(), CPU, ["2d"], OPTIONS)
    splits.unlink()
    with pytest.raises(UserError, match="is not planned yet"):
        cross_validate(DATASET_ID, small.workspace.activate(), CPU, ["2d"], OPTIONS)
