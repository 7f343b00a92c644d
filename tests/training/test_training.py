from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.network import gate_parameters
from medt_pipeline.training.checkpoint import read_checkpoint
from medt_pipeline.training.run import TrainingOptions, parse_fold, train_fold
from medt_pipeline.training.trainer import nnUNetTrainerMedT
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn

CPU = torch.device("cpu")
MODEL = Path(DATASET_NAME) / "nnUNetTrainerMedT__MedTPlans__2d"


def shorten(drawn: Drawn, **schedule: int) -> None:
    """Change the schedule in the plans."""
    file = drawn.preprocessed / "MedTPlans.json"
    plans = json.loads(file.read_text())
    plans["configurations"]["2d"]["medt"]["schedule"] |= {
        "iterations_per_epoch": 2,
        "validation_iterations_per_epoch": 1,
        "warmup_epochs": 1,
        **schedule,
    }
    file.write_text(json.dumps(plans))


@pytest.fixture
def small(planned: Drawn, tmp_path: Path) -> Drawn:
    """A copy with two iterations an epoch and gates that are free from epoch 1 on."""
    copy = planned.copy(tmp_path / "workspace", "results")
    shorten(copy, epochs=3, gates_fixed_epochs=1)
    return copy


def train(drawn: Drawn, fold=0, start="new", **options):
    settings = TrainingOptions(quiet=True, **options)
    return train_fold(DATASET_ID, fold, drawn.workspace.activate(), CPU, options=settings, start=start)


@pytest.mark.parametrize(("text", "fold"), [("fold0", 0), ("3", 3), ("FOLD_2", 2), ("all", "all"), ("fold_all", "all")])
def test_folds_have_several_spellings(text: str, fold) -> None:
    assert parse_fold(text) == fold


@pytest.mark.parametrize("text", ["", "fold", "foldx", "-1", "1.5"])
def test_other_words_are_no_folds(text: str) -> None:
    with pytest.raises(UserError, match="fold0, fold1"):
        parse_fold(text)


def test_a_fold_leaves_a_model_that_nnunet_knows_with_scores(trained: Drawn) -> None:
    folder = trained.workspace.results / MODEL
    assert {"plans.json", "dataset.json", "dataset_fingerprint.json"} <= {path.name for path in folder.iterdir()}
    fold = folder / "fold_0"
    splits = json.loads((trained.preprocessed / "splits_final.json").read_text())
    masks = sorted(path.stem for path in (fold / "validation").glob("*.png"))
    assert masks == splits[0]["val"]
    summary = json.loads((fold / "validation" / "summary.json").read_text())
    scores = json.loads((fold / "validation" / "medt_scores.json").read_text())
    assert summary["foreground_mean"]["Dice"] == pytest.approx(scores["mean_over_classes"]["mean"]["dice"])
    assert scores["images_scored"] == len(masks)
    assert scores["groups_from"].endswith("raw/Dataset901_Drawn/medt_cases.json")
    run = json.loads((fold / "medt_run.json").read_text())
    assert run["epochs_trained"] == 2
    assert run["seed"] == 12345
    assert (fold / "progress.png").stat().st_size > 0


def test_checkpoints_are_data(trained: Drawn) -> None:
    checkpoint = torch.load(
        trained.workspace.results / MODEL / "fold_0" / "checkpoint_final.pth", weights_only=True, map_location="cpu"
    )
    assert checkpoint["trainer_name"] == "nnUNetTrainerMedT"
    assert checkpoint["inference_allowed_mirroring_axes"] == (0, 1)


def test_same_seed_same_weights(small: Drawn) -> None:
    weights = []
    for seed in (1, 1, 2):
        train(small, start="restart", epochs=1, seed=seed)
        file = small.workspace.results / MODEL / "fold_0" / "checkpoint_final.pth"
        weights.append(read_checkpoint(file, CPU)["network_weights"]["heads.details.0.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


class Interrupt:
    """Presses Ctrl-C when step number `at` begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.steps = 0
        self.at = at
        original = nnUNetTrainerMedT.train_step
        interrupt = self

        def step(trainer: nnUNetTrainerMedT, batch: dict):
            if interrupt.steps == interrupt.at:
                raise KeyboardInterrupt
            interrupt.steps += 1
            return original(trainer, batch)

        monkeypatch.setattr(nnUNetTrainerMedT, "train_step", step)


def test_interrupted_training_goes_on_and_gates_stay_free(small: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        Interrupt(patch, at=5)  # in the middle of epoch 2, when the gates are free
        with pytest.raises(KeyboardInterrupt):
            train(small)
    fold = small.workspace.results / MODEL / "fold_0"
    checkpoint = read_checkpoint(fold / "checkpoint_latest.pth", CPU)
    assert checkpoint["current_epoch"] == 2
    assert len(checkpoint["logging"]["train_losses"]) == 2
    assert not list(fold.glob("*.part*"))
    with pytest.raises(UserError, match="unfinished.*--resume"):
        train(small)
    seen = []
    original = nnUNetTrainerMedT.train_step

    def watch(trainer: nnUNetTrainerMedT, batch: dict):
        seen.append((trainer.current_epoch, all(g.requires_grad for g in gate_parameters(trainer.network))))
        return original(trainer, batch)

    monkeypatch.setattr(nnUNetTrainerMedT, "train_step", watch)
    train(small, start="resume")
    assert seen == [(2, True), (2, True)]
    assert (fold / "checkpoint_final.pth").exists()
    assert len(read_checkpoint(fold / "checkpoint_final.pth", CPU)["logging"]["train_losses"]) == 3


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(small: Drawn, tmp_path: Path) -> None:
    whole = train(small.copy(tmp_path / "whole"), start="continue").folder
    for step in (1, 2, 5):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            Interrupt(patch, at=step % 3)
            train(small, start="continue")
    broken = train(small, start="continue").folder
    weights, others = (read_checkpoint(one / "checkpoint_final.pth", CPU) for one in (whole, broken))
    for name, value in weights["network_weights"].items():
        assert torch.equal(value, others["network_weights"][name]), name
    assert weights["logging"]["train_losses"] == others["logging"]["train_losses"]
    assert train(small, start="continue").scores == train(small, start="continue").scores


def test_gates_are_fixed_first_and_learn_later(small: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, torch.Tensor] = {}
    original = nnUNetTrainerMedT.on_epoch_end

    def note(trainer: nnUNetTrainerMedT) -> None:
        seen[trainer.current_epoch] = gate_parameters(trainer.network)[0].detach().clone()
        original(trainer)

    monkeypatch.setattr(nnUNetTrainerMedT, "on_epoch_end", note)
    train(small)
    assert len(seen[0].unique()) == 2  # their start, 0.1 for the positions and 1 for the values
    assert not torch.equal(seen[2], seen[0])


def test_a_time_budget_ends_the_training(small: Drawn) -> None:
    result = train(small, time_budget=0.001)
    assert (result.folder / "checkpoint_final.pth").exists()
    assert result.scores is not None


def test_finished_folds_are_not_overwritten_unasked(trained: Drawn) -> None:
    with pytest.raises(UserError, match="trained already.*--restart"):
        train(trained)


def test_resuming_a_finished_fold_scores_it_again_without_training(trained: Drawn, tmp_path: Path) -> None:
    again = trained.copy(tmp_path / "again")
    folder = again.workspace.results / MODEL / "fold_0"
    before = (folder / "checkpoint_final.pth").read_bytes()
    (folder / "validation" / "medt_scores.json").unlink()
    assert train(again, start="resume").scores is not None
    assert (folder / "checkpoint_final.pth").read_bytes() == before


def test_going_on_under_another_plan_is_refused(trained: Drawn, tmp_path: Path) -> None:
    again = trained.copy(tmp_path / "again")
    file = again.preprocessed / "MedTPlans.json"
    plans = json.loads(file.read_text())
    plans["configurations"]["2d"]["medt"]["schedule"]["learning_rate"] = 0.5
    file.write_text(json.dumps(plans))
    with pytest.raises(UserError, match="The plan changed since the training in .* began; start anew with --restart"):
        train(again, start="resume")


def test_all_holds_nothing_out_and_says_so(small: Drawn) -> None:
    result = train(small, fold="all", epochs=1)
    assert result.scores is None
    assert not (result.folder / "validation").exists()


@pytest.mark.parametrize("configuration", ["2d_medt", "2d_logo", "2d_gated", "2d_axial", "2d_unet", "2d_resenc"])
def test_every_architecture_trains(small: Drawn, configuration: str) -> None:
    settings = TrainingOptions(epochs=1, quiet=True)
    result = train_fold(DATASET_ID, 0, small.workspace.activate(), CPU, configuration, settings)
    assert result.scores is not None


def test_deep_supervision_follows_the_plan(small: Drawn) -> None:
    file = small.preprocessed / "MedTPlans.json"
    plans = json.loads(file.read_text())
    plans["configurations"]["2d"]["architecture"]["arch_kwargs"]["deep_supervision"] = True
    file.write_text(json.dumps(plans))
    assert train(small, epochs=1).scores is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"fold": 7}, "has no fold 7: there are fold0 to fold4"),
        ({"start": "resume"}, "nothing to resume"),
    ],
)
def test_wrong_requests_are_answered(small: Drawn, arguments: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        train(small, **arguments)


def test_unplanned_and_unknown_data_sets_are_named(converted: Drawn, tmp_path: Path) -> None:
    raw_only = converted.copy(tmp_path / "raw_only", "preprocessed", "results")
    with pytest.raises(UserError, match="is not planned yet; run medt_plan_and_preprocess -d 901"):
        train(raw_only)
    with pytest.raises(UserError, match="no data set 555"):
        train_fold(555, 0, raw_only.workspace.activate(), CPU)


def test_a_full_disk_is_an_error_of_the_disk(small: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments, **options) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        train(small, epochs=1)
    assert not list((small.workspace.results / MODEL / "fold_0").glob("*.p*th*"))


def test_a_broken_checkpoint_is_named(small: Drawn) -> None:
    folder = small.workspace.results / MODEL / "fold_0"
    folder.mkdir(parents=True)
    (folder / "checkpoint_latest.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="is not a checkpoint of medt_train"):
        train(small, start="resume")
