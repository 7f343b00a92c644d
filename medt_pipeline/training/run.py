"""Training of one fold as a library call: what to train, whether to go on, and what is left behind."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder, read_json, write_json
from medt_pipeline.core.locks import locked, plan_locked, remove_unfinished, training_lock
from medt_pipeline.core.manifest import content_hash, environment
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.planning.architectures import ARCHITECTURES, is_planned
from medt_pipeline.planning.edited import consistent, require_preprocessed
from medt_pipeline.planning.planner import PLANS_NAME
from medt_pipeline.planning.run import SPLITS_FILE
from medt_pipeline.training.group import Group, local_size
from medt_pipeline.training.seeding import seed_generators
from medt_pipeline.training.trainer import nnUNetTrainerMedT

Fold = int | Literal["all"]
Start = Literal["new", "resume", "restart", "continue"]
"""What to do with a training that exists: "new" refuses, "resume" goes on with it, "restart" deletes it, "continue"
goes on with one that is unfinished, leaves a finished one alone and begins where there is none."""

TRAINER = "nnUNetTrainerMedT"
MANIFEST = "medt_run.json"
SCORES = "medt_scores.json"
FINAL, LATEST = "checkpoint_final.pth", "checkpoint_latest.pth"


@dataclass(frozen=True)
class FoldResult:
    """What a training left behind.

    Attributes:
        folder: the fold's folder in the results.
        scores: content of medt_scores.json of the held-out cases; None for fold "all", which holds none out.
    """

    folder: Path
    scores: dict[str, Any] | None


@dataclass(frozen=True)
class TrainingOptions:
    """How to train.

    Attributes:
        epochs: instead of the plan's.
        time_budget: seconds of training, instead of a number of epochs unless `epochs` is given too.
        seed: of initialisation and augmentation; without worker processes, which are the default on a CPU, a training
            that was interrupted draws what it would have drawn.
        save_probabilities: keep the class probabilities of the held-out cases.
        quiet: show no progress.
    """

    epochs: int | None = None
    time_budget: float | None = None
    seed: int = 12345
    save_probabilities: bool = False
    quiet: bool = False


def parse_fold(text: str) -> Fold:
    """Fold named "fold0", "0" or "all".

    Raises:
        UserError: it is none of these.
    """
    name = text.lower()
    if name in ("all", "fold_all", "foldall"):
        return "all"
    digits = name.removeprefix("fold").removeprefix("_")
    if not digits.isdigit():
        raise UserError(f"The fold must be one of fold0, fold1, … or all, got {text!r}.")
    return int(digits)


def train_fold(
    dataset_id: int,
    fold: Fold,
    workspace: Workspace,
    device: torch.device,
    configuration: str = "2d",
    options: TrainingOptions = TrainingOptions(),
    start: Start = "new",
) -> FoldResult:
    """Train one fold, or go on with it, and score its held-out cases.

    Args:
        dataset_id: a planned data set.
        fold: number of the fold, or "all" to train on all cases.
        workspace: an activated workspace.
        device: where to train.
        configuration: name in the plans file.
        options: length, seed, display.
        start: what to do with a training that exists.

    Raises:
        UserError: the data set is not planned, the fold does not exist, or `start` does not fit what exists.
        KeyboardInterrupt: interrupted; what was trained is saved.
    """
    name = workspace.dataset_name(dataset_id)
    _read_planned(workspace, name, dataset_id, configuration, fold)
    folder = fold_folder(workspace, name, configuration, fold)
    group = Group()
    with ExitStack() as until_done:
        group.by_first(lambda: _keep(until_done, workspace, name, folder, configuration))
        return _train_kept(dataset_id, fold, workspace, device, configuration, options, start, group)


def _train_kept(
    dataset_id: int,
    fold: Fold,
    workspace: Workspace,
    device: torch.device,
    configuration: str,
    options: TrainingOptions,
    start: Start,
    group: Group,
) -> FoldResult:
    """`train_fold` when no other process can train the fold or plan its data set any more."""
    name = workspace.dataset_name(dataset_id)
    plans, dataset_json, same = _read_planned(workspace, name, dataset_id, configuration, fold)
    folder = fold_folder(workspace, name, configuration, fold)
    wanted: Start = "continue" if group.was_restarted else start
    checkpoint = group.by_first(lambda: _prepare_folder(folder, fold, wanted, same))
    finished = checkpoint is not None and checkpoint.name == FINAL
    scored = group.by_first(lambda: fold == "all" or is_scored(folder, options.save_probabilities))
    if wanted == "continue" and finished and scored:
        return _result(folder, fold)
    _set_workers(device)
    seed_generators(options.seed)
    trainer = _make_trainer(plans, configuration, fold, dataset_json, device, checkpoint is not None)
    trainer.seed, trainer.group = options.seed, group
    _set_length(trainer, options)
    with group.interruptible(), _console_to(folder if group.is_first else None):
        if checkpoint is not None:
            trainer.load_checkpoint(str(checkpoint))
        if not finished:
            facts = {"device": str(device), "devices": group.size, "configuration": configuration, "fold": fold, **same}
            _train(trainer, folder, facts, options)
        if group.is_first:
            # Also where it was finished before: it may have been killed between its last checkpoint and this.
            seconds = round(trainer.clock.elapsed(), 1)
            _note(folder, {"seconds": seconds, "epochs_trained": trainer.current_epoch})
        if fold != "all":
            trainer.predict_held_out(options.save_probabilities)
            if group.is_first:
                _note(folder, {"seconds_per_image": round(statistics.median(trainer.prediction_seconds), 4)})
            trainer.score_held_out()
    return _result(folder, fold)


def planned_configuration(workspace: Workspace, dataset_id: int, configuration: str, architecture: str) -> str:
    """Name in the plans of `configuration` with another network.

    Raises:
        UserError: the data set is not planned, there is no such network, or none such is planned.
    """
    if architecture not in ARCHITECTURES:
        raise UserError(f"There is no architecture {architecture!r}; choose one of: {', '.join(ARCHITECTURES)}.")
    name = workspace.dataset_name(dataset_id)
    plans, _ = _read_plans(workspace.preprocessed / name, dataset_id, configuration)
    manager = PlansManager(plans)
    for candidate in plans["configurations"]:
        planned = manager.get_configuration(candidate).configuration["architecture"]
        of_family = candidate == configuration or candidate.startswith(f"{configuration}_")
        if of_family and "whole" not in candidate.removeprefix(configuration) and is_planned(architecture, planned):
            return str(candidate)
    raise UserError(
        f"The plans of {name} have no {configuration} with {architecture}; "
        f"run medt_plan_and_preprocess -d {dataset_id} --set architecture={architecture}."
    )


def fold_folder(workspace: Workspace, dataset_name: str, configuration: str, fold: Fold) -> Path:
    """Where the training of a fold lies, in nnU-Net's layout."""
    return workspace.results / dataset_name / f"{TRAINER}__{PLANS_NAME}__{configuration}" / f"fold_{fold}"


def is_scored(folder: Path, with_probabilities: bool) -> bool:
    """Whether the held-out cases of the fold in `folder` are predicted and scored, and their probabilities kept."""
    validation = folder / "validation"
    if not (validation / SCORES).exists():
        return False
    cases = {row["image"] for row in read_json(validation / SCORES)["images"]}
    return not with_probabilities or all((validation / f"{case}.npz").exists() for case in cases)


def _result(folder: Path, fold: Fold) -> FoldResult:
    return FoldResult(folder, None if fold == "all" else read_json(folder / "validation" / SCORES))


def _train(trainer: nnUNetTrainerMedT, folder: Path, facts: dict[str, Any], options: TrainingOptions) -> None:
    """Train to the end, with a manifest that is there from the beginning."""
    manifest = {
        **environment(),
        **facts,
        "seed": options.seed,
        "epochs": options.epochs,
        "time_budget": options.time_budget,
        "acceleration": trainer.acceleration.to_json(),
    }
    is_first = trainer.group.is_first
    if is_first:
        write_json(make_folder(folder) / MANIFEST, manifest)
    trainer.show_progress(options.quiet or not is_first)
    trainer.run_training()


def _note(folder: Path, facts: dict[str, Any]) -> None:
    """Add to the manifest."""
    write_json(folder / MANIFEST, {**read_json(folder / MANIFEST), **facts})


def _read_plans(preprocessed: Path, dataset_id: int, configuration: str) -> tuple[dict[str, Any], dict[str, Any]]:
    file = preprocessed / f"{PLANS_NAME}.json"
    if not file.exists():
        raise UserError(f"{preprocessed.name} is not planned yet; run medt_plan_and_preprocess -d {dataset_id}.")
    plans = read_json(file)
    if configuration not in plans["configurations"]:
        known = ", ".join(plans["configurations"])
        raise UserError(f"The plans of {preprocessed.name} have no configuration {configuration!r}, only {known}.")
    plans = consistent(plans, configuration, str(file))
    settings = PlansManager(plans).get_configuration(configuration)
    require_preprocessed(preprocessed / settings.data_identifier, settings, dataset_id)
    return plans, read_json(preprocessed / "dataset.json")


def _read_planned(
    workspace: Workspace, name: str, dataset_id: int, configuration: str, fold: Fold
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Plans, dataset.json, and hashes of what must not change while the fold is trained."""
    preprocessed = workspace.preprocessed / name
    plans, dataset_json = _read_plans(preprocessed, dataset_id, configuration)
    same = {
        "configuration_sha256": content_hash(PlansManager(plans).get_configuration(configuration).configuration),
        "splits_sha256": _require_fold(preprocessed, fold),
    }
    return plans, dataset_json, same


def _keep(until_done: ExitStack, workspace: Workspace, name: str, folder: Path, configuration: str) -> None:
    """Keep others from training the fold, and from planning its data set, and remove what one left that was killed."""
    # Planning holds its lock while it looks whether anything is trained.
    with plan_locked(workspace, name):
        until_done.enter_context(locked(training_lock(folder), f"{folder.name} of {configuration}"))
    remove_unfinished(folder)
    remove_unfinished(folder / "validation")


def _require_fold(preprocessed: Path, fold: Fold) -> str:
    """Check that the fold exists; nnU-Net would train on a random split instead. Returns the hash of the splits."""
    splits = read_json(preprocessed / SPLITS_FILE)
    if fold != "all" and not 0 <= fold < len(splits):
        there = f"there are fold0 to fold{len(splits) - 1}" if splits else "there is none"
        raise UserError(f"{preprocessed.name} has no fold {fold}: {there}; `all` trains on all cases.")
    return content_hash(splits)


def _prepare_folder(folder: Path, fold: Fold, start: Start, same: dict[str, str]) -> Path | None:
    """Make room for a training as `start` says; returns the checkpoint from which it goes on."""
    trained = (folder / FINAL).exists()
    begun = trained or (folder / LATEST).exists() or (folder / "checkpoint_best.pth").exists()
    if start == "restart":
        shutil.rmtree(folder, ignore_errors=True)
    elif start == "new" and trained:
        raise UserError(f"Fold {fold} is trained already ({folder}); --restart deletes it and trains it anew.")
    elif start == "new" and begun:
        raise UserError(f"A training of fold {fold} is unfinished ({folder}); go on with --resume, or use --restart.")
    elif start == "resume" and not begun:
        raise UserError(f"There is nothing to resume in {folder}; start without --resume.")
    if start in ("resume", "continue"):
        _require_same(folder / MANIFEST, same)
    if (folder / FINAL).exists():
        # Of a training that was killed when it had written the final one.
        (folder / LATEST).unlink(missing_ok=True)
    return _checkpoint_to_resume(folder)


def _require_same(manifest: Path, now: dict[str, str]) -> None:
    """Refuse to go on with a training under another plan or on other folds than those with which it began."""
    began = read_json(manifest) if manifest.exists() else {}
    words = {"configuration_sha256": "the plan", "splits_sha256": "the folds"}
    changed = [words[key] for key, value in now.items() if began.get(key, value) != value]
    if changed:
        raise UserError(
            f"{' and '.join(changed).capitalize()} changed since the training in {manifest.parent} began; "
            "start anew with --restart, or put back what was changed."
        )


def _checkpoint_to_resume(folder: Path) -> Path | None:
    names = (FINAL, LATEST, "checkpoint_best.pth")
    return next((folder / name for name in names if (folder / name).exists()), None)


def _set_workers(device: torch.device) -> None:
    """Say how many processes augment, unless the user did: on a CPU they would take the cores that train."""
    if "nnUNet_n_proc_DA" not in os.environ:
        spare = (os.cpu_count() or 1) // local_size() - 2
        os.environ["nnUNet_n_proc_DA"] = "0" if device.type == "cpu" else str(max(min(spare, 12), 0))


def _make_trainer(
    plans: dict[str, Any],
    configuration: str,
    fold: Fold,
    dataset_json: dict[str, Any],
    device: torch.device,
    resume: bool,
) -> nnUNetTrainerMedT:
    # The constructor of nnU-Net's trainer prints what the log file holds as well.
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = nnUNetTrainerMedT({**plans, "continue_training": resume}, configuration, fold, dataset_json, device)
        trainer.initialize()
    return trainer


def _set_length(trainer: nnUNetTrainerMedT, options: TrainingOptions) -> None:
    if options.time_budget is not None or options.epochs is not None:
        trainer.set_length(options.epochs, options.time_budget)


@contextlib.contextmanager
def _console_to(folder: Path | None) -> Iterator[None]:
    """Send what nnU-Net prints to console.txt in the fold's folder; the progress bar is on standard error.

    None, in the processes that stand behind the first of a group, sends it nowhere.
    """
    file = Path(os.devnull) if folder is None else make_folder(folder) / "console.txt"
    with file.open("a", encoding="utf-8") as opened, contextlib.redirect_stdout(opened):
        yield
