"""Results as the other commands leave them, written without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from medt_pipeline.core.images import read_mask, write_png
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.evaluation.folder import evaluate_folder
from medt_pipeline.evaluation.tables import write_scores
from medt_pipeline.training.curves import write_curves

SIZE = (48, 64)
NAME = "Dataset905_GlaS"
MODEL = "nnUNetTrainerMedT__MedTPlans__{}"


def disc(radius: float, row: float = 24, column: float = 30, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) uint8, 1 in a disc."""
    rows, columns = np.indices(size)
    return (np.hypot(rows - row, columns - column) <= radius).astype(np.uint8)


def draw_workspace(root: Path, groups: Mapping[str, str], label: str = "gland", name: str = NAME) -> Workspace:
    """A data set of two folds, each case a disc, with what conversion and planning write but a fingerprint.

    Args:
        root: folder to make.
        groups: patient by case.
        label: name of the class.
        name: of the data set.
    """
    workspace = Workspace.locate(root)
    raw, preprocessed = workspace.raw / name, workspace.preprocessed / name
    for folder in (raw / "imagesTr", raw / "labelsTr", preprocessed / "gt_segmentations", workspace.results / name):
        folder.mkdir(parents=True)
    labels = {"background": 0, label: 1}
    dataset_json = {"channel_names": {"0": "gray"}, "labels": labels, "numTraining": len(groups), "file_ending": ".png"}
    for folder in (raw, preprocessed):
        (folder / "dataset.json").write_text(json.dumps(dataset_json))
    rng = np.random.default_rng(0)
    for number, case in enumerate(groups):
        mask = disc(10 + number % 8)
        noise = rng.integers(0, 60, SIZE)
        write_png(raw / "imagesTr" / f"{case}_0000.png", (60 + 120 * mask + noise).astype(np.uint8))
        write_png(preprocessed / "gt_segmentations" / f"{case}.png", mask)
    cases = {case: {"group": group, "image": f"{case}.png"} for case, group in groups.items()}
    (raw / "medt_cases.json").write_text(json.dumps({"cases": cases}))
    names = list(groups)
    splits = [{"train": names[1 - fold :: 2], "val": names[fold::2]} for fold in (0, 1)]
    (preprocessed / "splits_final.json").write_text(json.dumps(splits))
    return workspace


def add_fold(workspace: Workspace, name: str, configuration: str, fold: int, epochs: int = 3) -> Path:
    """A trained fold: curves and facts of the run; returns its folder."""
    folder = workspace.results / name / MODEL.format(configuration) / f"fold_{fold}"
    (folder / "validation").mkdir(parents=True)
    falling = [1.0 - 0.2 * epoch for epoch in range(epochs)]
    logged = {
        "lrs": falling,
        "train_losses": falling,
        "val_losses": falling,
        "mean_fg_dice": [0.5 + 0.1 * epoch for epoch in range(epochs)],
        "ema_fg_dice": [0.5 + 0.05 * epoch for epoch in range(epochs)],
        "dice_per_class_or_region": [[0.5]] * epochs,
        "epoch_start_timestamps": [10.0 * epoch for epoch in range(epochs)],
        "epoch_end_timestamps": [10.0 * epoch + 5 for epoch in range(epochs)],
    }
    write_curves(folder, logged, ["gland"])
    run = {"device": "cpu", "seconds": 90.0, "epochs_trained": epochs, "seed": 7, "seconds_per_image": 0.5}
    (folder / "medt_run.json").write_text(json.dumps({**run, "packages": {"torch": "2.x"}, "python": "3.x"}))
    return folder


def add_results(
    workspace: Workspace, name: str, configuration: str, worse: float = 0.0, folds: Sequence[int] = (0, 1)
) -> None:
    """Trained folds with masks, probabilities and scores of the held-out cases, each a different number of pixels off.

    Args:
        worse: pixels by which all masks are off beside.
    """
    preprocessed = workspace.preprocessed / name
    references = preprocessed / "gt_segmentations"
    labels = json.loads((preprocessed / "dataset.json").read_text())["labels"]
    splits = json.loads((preprocessed / "splits_final.json").read_text())
    for fold in folds:
        validation = add_fold(workspace, name, configuration, fold) / "validation"
        for number, case in enumerate(splits[fold]["val"]):
            truth = read_mask(references / f"{case}.png")
            distance = ndimage.distance_transform_edt(truth) - ndimage.distance_transform_edt(1 - truth)
            foreground = 1 / (1 + np.exp(-(distance - worse - 0.6 * (number + fold))))
            probabilities = np.stack([1 - foreground, foreground])[:, None].astype(np.float16)
            np.savez_compressed(validation / f"{case}.npz", probabilities=probabilities)
            write_png(validation / f"{case}.png", probabilities[:, 0].argmax(0).astype(np.uint8))
        write_scores(evaluate_folder(references, validation, labels, only=splits[fold]["val"]), validation)
