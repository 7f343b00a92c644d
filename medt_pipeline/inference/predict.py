"""From images to masks: every trained fold predicts, the probabilities are averaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, make_folder, write_json, write_text
from medt_pipeline.core.images import stem_of, write_png
from medt_pipeline.core.locks import locked, remove_unfinished
from medt_pipeline.core.manifest import environment
from medt_pipeline.core.pixel_size import read_pixel_size
from medt_pipeline.core.prediction_record import MANIFEST
from medt_pipeline.core.progress import progress
from medt_pipeline.evaluation.quality import Quality, expected_dice
from medt_pipeline.evaluation.uncertainty import as_picture, disagreement, entropy
from medt_pipeline.fingerprint.case_facts import measure_image
from medt_pipeline.fingerprint.shift import RULE, TrainingImages, unlike
from medt_pipeline.inference.average import Average, average_members, mask_of
from medt_pipeline.inference.inputs import list_inputs, read_input, require_scale
from medt_pipeline.inference.models import (
    Ensemble,
    StoredModel,
    ensemble_of,
    expected_channels,
    open_ensemble,
)
from medt_pipeline.inference.recipe import QUALITY_TABLE, Recipe, objects_of

LOCK = ".medt_predict.lock"
SHIFT_TABLE = "medt_shift.csv"
"""Which images are unlike those of the training, beside the masks."""

DrawOverlay = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PredictionOptions:
    """How to predict.

    Attributes:
        mirror: average over mirror images (test-time augmentation).
        uncertainty: also write uncertainty/NAME.png, the entropy of the probabilities, and disagreement/NAME.png, that
            part of it that comes from members that differ; 8-bit, 255 is the largest possible.
        save_probabilities: also write NAME.npz with the class probabilities (classes, 1, H, W), float16.
        draw_overlay: from picture and mask to the picture for overlays/NAME.png; None draws none.
        training_images: compare each image with them, and write medt_shift.csv; None compares nothing.
        quiet: show no progress.
    """

    mirror: bool = True
    save_probabilities: bool = False
    uncertainty: bool = False
    draw_overlay: DrawOverlay | None = None
    training_images: TrainingImages | None = None
    quiet: bool = False


@dataclass
class PredictionSummary:
    """What was predicted.

    Attributes:
        masks: files written.
        failed: image → why it could not be predicted.
        unlike: image → in what it is unlike the training images; empty lists for those that are like them, and no
            entry where nothing was compared.
        seconds: wall time.
    """

    masks: list[Path] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unlike: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0


def predict_images(
    source: Path, target: Path, model: StoredModel | Ensemble, device: torch.device, options: PredictionOptions
) -> PredictionSummary:
    """Predict a mask for every image of `source` (a folder or one file) and write it to the folder `target`.

    A mask is a PNG of the image's own size and name; its values are the labels of dataset.json, written beside.
    An image that cannot be read does not stop the others.

    Raises:
        UserError: there are no images, `target` cannot be written, or the model cannot be opened; or another process
            writes to `target`.
    """
    images = list_inputs(source)
    source_folder = source if source.is_dir() else source.parent
    if target.resolve() == source_folder.resolve():
        raise UserError(f"The masks would be written among the images in {target}; name another folder with -o.")
    make_folder(target)
    with locked(target / LOCK, f"the masks in {target}"):
        for part in (".", "instances", "uncertainty", "disagreement", "overlays"):
            remove_unfinished(target / part)
        return _predict_all(images, source, target, model, device, options)


def _predict_all(
    images: Sequence[Path],
    source: Path,
    target: Path,
    model: StoredModel | Ensemble,
    device: torch.device,
    options: PredictionOptions,
) -> PredictionSummary:
    """`predict_images` when no other process writes to `target`."""
    started = time.monotonic()
    ensemble = model if isinstance(model, Ensemble) else ensemble_of(model)
    dataset_json = ensemble.models[0].dataset_json()
    members = open_ensemble(ensemble, device, options.mirror)
    channels = expected_channels(dataset_json)
    summary = PredictionSummary()
    expected: dict[str, float] = {}
    for image in progress(images, "Predict", len(images), "image", options.quiet):
        try:
            picture, planes = read_input(image, channels)
            require_scale(picture, members[0].normalization, str(image))
            if options.training_images is not None:
                facts = measure_image(planes[:, 0], read_pixel_size(image))
                summary.unlike[image.name] = unlike(facts, options.training_images)
            mean = average_members(members, planes)
            mask = mask_of(members, ensemble.recipe, mean)
            summary.masks.append(_write_image(stem_of(image), picture, mean, mask, target, ensemble.recipe, options))
            expected[image.name] = expected_dice(mean.probabilities[:, 0], mask)
        except UserError as error:
            summary.failed[image.name] = str(error)
    summary.seconds = time.monotonic() - started
    if options.training_images is not None:
        _write_shift(target, summary.unlike)
    _write_quality(target, ensemble.recipe.quality if ensemble.recipe else None, expected)
    _write_records(source, target, ensemble, dataset_json, device, options, summary)
    return summary


def _write_image(
    name: str,
    picture: np.ndarray,
    mean: Average,
    mask: np.ndarray,
    target: Path,
    recipe: Recipe | None,
    options: PredictionOptions,
) -> Path:
    """Write what is asked for of one image; returns the mask's file, which is written last."""
    if recipe is not None and recipe.postprocessing.splitting:
        objects = objects_of(recipe.postprocessing, mask, len(mean.probabilities))
        write_png(make_folder(target / "instances") / f"{name}.png", objects)
    if options.save_probabilities:
        with atomic_path(target / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, probabilities=mean.probabilities.astype(np.float16))
    if options.uncertainty:
        of_mean = entropy(mean.probabilities)
        maps = {"uncertainty": of_mean, "disagreement": disagreement(of_mean, mean.mean_entropy)}
        for kind, shares in maps.items():
            write_png(make_folder(target / kind) / f"{name}.png", as_picture(shares[0]))
    if options.draw_overlay is not None:
        write_png(make_folder(target / "overlays") / f"{name}.png", options.draw_overlay(picture, mask))
    file = target / f"{name}.png"
    write_png(file, mask)
    return file


def _write_shift(target: Path, found: Mapping[str, list[str]]) -> None:
    """Write which images are unlike those of the training and in what, these first."""
    rows = sorted(
        ((name, len(phrases), "; ".join(phrases)) for name, phrases in found.items()), key=lambda row: -row[1]
    )
    frame = pd.DataFrame(rows, columns=["image", "facts_unlike", "what"])
    write_text(target / SHIFT_TABLE, frame.to_csv(index=False, lineterminator="\n"))


def _write_quality(target: Path, quality: Quality | None, expected: Mapping[str, float]) -> None:
    """Write the estimated Dice of each mask, the worst first, where a recipe tells how to estimate it."""
    if quality is None:
        return
    estimated = {name: quality.estimate(value) for name, value in expected.items()}
    worst_first = sorted(estimated.items(), key=lambda item: (np.nan_to_num(item[1], nan=2.0), item[0]))
    frame = pd.DataFrame(worst_first, columns=["image", "estimated_dice"])
    write_text(target / QUALITY_TABLE, frame.to_csv(index=False, lineterminator="\n", float_format="%.4f"))


def _write_records(
    source: Path,
    target: Path,
    ensemble: Ensemble,
    dataset_json: dict,
    device: torch.device,
    options: PredictionOptions,
    summary: PredictionSummary,
) -> None:
    """Labels beside the masks, for whoever reads them, and how they were made."""
    write_json(target / "dataset.json", dataset_json)
    write_json(
        target / MANIFEST,
        {
            **environment(),
            "images": str(source.resolve()),
            "data_set": ensemble.models[0].dataset_name,
            "model_file_sha256": ensemble.file_checksum,
            "models": [
                {"configuration": model.configuration, "folds": list(model.folds), "weight": weight}
                for model, weight in zip(ensemble.models, ensemble.weights, strict=True)
            ],
            "by_recipe": ensemble.recipe is not None,
            "mirroring": options.mirror,
            "device": str(device),
            "seconds": round(summary.seconds, 1),
            "predicted": len(summary.masks),
            **({"shift_rule": RULE, "unlike_training": summary.unlike} if options.training_images else {}),
            "failed": summary.failed,
        },
    )
