"""The demonstration: the whole road on two drawn data sets, each step with the command that does the same."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder, write_json
from medt_pipeline.core.images import list_images, read_mask, write_png
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.demo.drawing import Kind, write_drawn_set
from medt_pipeline.evaluation.folder import FolderScores, evaluate_folder
from medt_pipeline.evaluation.tables import write_scores
from medt_pipeline.inference.models import find_model
from medt_pipeline.inference.predict import PredictionOptions, predict_images
from medt_pipeline.planning.run import plan_and_preprocess
from medt_pipeline.report.overlays import write_overlays
from medt_pipeline.training.device import device_kind
from medt_pipeline.training.run import TrainingOptions, train_fold

MARKER = "medt_demo.json"
"""Tells a folder that the demonstration made, and may replace, from any other."""

PATIENT = r"^(p\d+)"
PRESET = "fast"


@dataclass(frozen=True)
class DemoSet:
    """One drawn data set of the demonstration; `seconds` is the training time of a fold, more for the harder set."""

    kind: Kind
    dataset_id: int
    name: str
    label: str
    seconds: float


SETS = (
    DemoSet("histology", 901, "DrawnHistology", "gland", 24),
    DemoSet("ultrasound", 902, "DrawnUltrasound", "lesion", 54),
)


@dataclass(frozen=True)
class DemoOptions:
    """Size of the demonstration.

    Attributes:
        patients: training patients a set.
        images_per_patient: images of each.
        size: height and width of the images.
        folds: folds that are trained and averaged.
        seconds_per_fold: training time of each fold; None: that of the set.
    """

    patients: int = 8
    images_per_patient: int = 4
    size: tuple[int, int] = (128, 176)
    folds: int = 2
    seconds_per_fold: float | None = None


def run_demo(
    folder: Path, device: torch.device, say: Callable[[str], None], options: DemoOptions = DemoOptions()
) -> dict[str, FolderScores]:
    """Draw, convert, plan, train, predict and score two data sets below `folder`.

    Args:
        folder: is made; one that an earlier demonstration made is replaced.
        device: where to train.
        say: receives one line at a time for the user.
        options: size.

    Returns:
        Scores of the held-out patients by name of the data set.

    Raises:
        UserError: `folder` holds something else.
    """
    _clear(folder)
    workspace = Workspace.locate(folder / "workspace").activate()
    scores = {}
    for one in SETS:
        started = time.monotonic()
        say(f"\n=== {one.name}: drawn {one.kind} images ===")
        scores[one.name] = _walk(folder, one, workspace, device, say, options)
        say(f"{one.name} took {time.monotonic() - started:.0f} s.")
    return scores


def _clear(folder: Path) -> None:
    if folder.exists():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARKER).exists()):
            raise UserError(f"{folder} exists and is not from an earlier demonstration; name another folder with -o.")
        shutil.rmtree(folder)
    write_json(make_folder(folder) / MARKER, {"made_by": "medt_demo"})


def _walk(
    folder: Path,
    one: DemoSet,
    workspace: Workspace,
    device: torch.device,
    say: Callable[[str], None],
    options: DemoOptions,
) -> FolderScores:
    source = folder / one.kind
    write_drawn_set(source, one.kind, options.patients, options.images_per_patient, options.size, seed=1)
    say(f"$ medt_convert folder --images {source}/images --masks {source}/masks -d {one.dataset_id} -n {one.name} \\")
    say(f"      --labels background=0,{one.label}=255 --groups '{PATIENT}'")
    target = Target(workspace, one.dataset_id, one.name)
    facts = FolderOptions(labels=f"background=0,{one.label}=255", groups=PATIENT)
    summary = convert(source / "images", source / "masks", target, facts)
    say(f"{summary.training_cases} images of {summary.groups} patients.")
    say(f"$ medt_plan_and_preprocess -d {one.dataset_id} -p {PRESET}")
    plan = plan_and_preprocess(one.dataset_id, workspace, device_kind(device), preset=PRESET)
    for decision in plan.decisions:
        say(f"  {decision.reason}")
    seconds = options.seconds_per_fold or one.seconds
    for fold in range(options.folds):
        say(f"$ medt_train {one.dataset_id} fold{fold} --time-budget {seconds:.0f}s")
        training = TrainingOptions(time_budget=seconds)
        result = train_fold(one.dataset_id, fold, workspace, device, options=training)
        if result.scores is not None:
            say(f"  held-out patients of this fold: Dice {result.scores['mean_over_classes']['mean']['dice']:.3f}")
    return _predict_and_score(one, source / "test", workspace, device, say)


def _predict_and_score(
    one: DemoSet, test: Path, workspace: Workspace, device: torch.device, say: Callable[[str], None]
) -> FolderScores:
    masks, labels = test / "predicted", make_folder(test / "labels")
    say(f"$ medt_predict -d {one.dataset_id} -i {test}/images -o {masks} --overlays")
    model = find_model(workspace, one.dataset_id, "2d")
    predict_images(test / "images", masks, model, device, PredictionOptions())
    for mask in list_images(test / "masks"):
        write_png(labels / mask.name, (read_mask(mask) > 0).astype("uint8"))
    write_overlays(test / "images", masks, masks / "overlays", labels, {1: one.label})
    say(f"$ medt_evaluate -g {labels} -p {masks}")
    scores = evaluate_folder(labels, masks)
    write_scores(scores, masks)
    everything = sum(float((read_mask(path) > 0).mean()) for path in labels.iterdir()) / len(scores.image_names)
    say(
        f"{len(scores.image_names)} images of patients that no fold has seen, {len(model.folds)} folds averaged: "
        f"Dice {scores.mean.dice:.3f}, IoU {scores.mean.iou:.3f} (foreground is {everything:.0%} of the pixels)."
    )
    say(f"Look at {masks / 'overlays'}: the lines are the prediction, the dashes the truth.")
    return scores


def closing_words(folder: Path) -> str:
    """Where to look and what to type for one's own data."""
    return "\n".join(
        [
            "",
            f"Everything lies in {folder}: plans and their reasons in workspace/preprocessed/*/MedTPlans.json,",
            "models and learning curves in workspace/results, masks, overlays and scores in */test/predicted.",
            "",
            "For your own images:",
            "  medt_convert folder --images IMAGES --masks MASKS -d 110 -n Mine --groups REGEX_OF_THE_PATIENT",
            "  medt_plan_and_preprocess -d 110",
            "  medt_train 110 cv             # or fold0 alone, for a first answer",
            "  medt_find_best 110",
            "  medt_predict -i NEW_IMAGES -o NEW_MASKS --overlays",
        ]
    )
