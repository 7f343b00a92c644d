"""From images to masks: every trained fold predicts, the probabilities are averaged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, make_folder, read_json, write_json
from medt_pipeline.core.images import stem_of, write_png
from medt_pipeline.core.manifest import environment
from medt_pipeline.core.progress import progress
from medt_pipeline.inference.inputs import SPACING_WITHOUT_UNIT, list_inputs, read_input
from medt_pipeline.inference.models import TrainedModel, expected_channels, open_folds
from medt_pipeline.training.case_prediction import predict_probabilities

MANIFEST = "medt_prediction.json"

DrawOverlay = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PredictionOptions:
    """How to predict.

    Attributes:
        mirror: average over mirror images (test-time augmentation).
        save_probabilities: also write NAME.npz with the class probabilities (classes, 1, H, W), float16.
        draw_overlay: from picture and mask to the picture for overlays/NAME.png; None draws none.
        quiet: show no progress.
    """

    mirror: bool = True
    save_probabilities: bool = False
    draw_overlay: DrawOverlay | None = None
    quiet: bool = False


@dataclass
class PredictionSummary:
    """What was predicted.

    Attributes:
        masks: files written.
        failed: image → why it could not be predicted.
        seconds: wall time.
    """

    masks: list[Path] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def predict_images(
    source: Path, target: Path, model: TrainedModel, device: torch.device, options: PredictionOptions
) -> PredictionSummary:
    """Predict a mask for every image of `source` (a folder or one file) and write it to the folder `target`.

    A mask is a PNG of the image's own size and name; its values are the labels of dataset.json, written beside.
    An image that cannot be read does not stop the others.

    Raises:
        UserError: there are no images, `target` cannot be written, or the model cannot be opened.
    """
    images = list_inputs(source)
    source_folder = source if source.is_dir() else source.parent
    if target.resolve() == source_folder.resolve():
        raise UserError(f"The masks would be written among the images in {target}; name another folder with -o.")
    make_folder(target)
    started = time.monotonic()
    dataset_json = read_json(model.folder / "dataset.json")
    predictors = open_folds(model, device, options.mirror)
    channels = expected_channels(dataset_json)
    summary = PredictionSummary()
    for image in progress(images, "Predict", len(images), "image", options.quiet):
        try:
            summary.masks.append(_predict_image(image, target, predictors, channels, options))
        except UserError as error:
            summary.failed[image.name] = str(error)
    summary.seconds = time.monotonic() - started
    _write_records(target, model, dataset_json, device, options, summary)
    return summary


def average_folds(predictors: list[nnUNetPredictor], planes: np.ndarray) -> np.ndarray:
    """Mean over folds of the class probabilities (classes, 1, H, W) of one image (channels, 1, H, W).

    Averaging probabilities is what `nnUNetv2_ensemble` does between models; `nnUNetv2_predict` averages the logits of
    folds instead, so masks of several folds may differ where the folds disagree.
    """
    first = predictors[0]
    preprocessor = first.configuration_manager.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case_npy(
        planes,
        None,
        {"spacing": SPACING_WITHOUT_UNIT},
        first.plans_manager,
        first.configuration_manager,
        first.dataset_json,
    )
    total: np.ndarray | None = None
    for predictor in predictors:
        _, probabilities = predict_probabilities(predictor, data, dict(properties))
        total = probabilities.astype(np.float32) if total is None else total + probabilities
    if total is None:
        raise ValueError("at least one fold is needed")
    return total / len(predictors)


def _predict_image(
    image: Path, target: Path, predictors: list[nnUNetPredictor], channels: int, options: PredictionOptions
) -> Path:
    picture, planes = read_input(image, channels)
    probabilities = average_folds(predictors, planes)
    labels = predictors[0].label_manager.convert_probabilities_to_segmentation(probabilities)[0]
    mask = labels.astype(np.uint8 if labels.max() < 256 else np.uint16)
    name = stem_of(image)
    file = target / f"{name}.png"
    write_png(file, mask)
    if options.save_probabilities:
        with atomic_path(target / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, probabilities=probabilities.astype(np.float16))
    if options.draw_overlay is not None:
        write_png(make_folder(target / "overlays") / f"{name}.png", options.draw_overlay(picture, mask))
    return file


def _write_records(
    target: Path,
    model: TrainedModel,
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
            "data_set": model.dataset_name,
            "configuration": model.configuration,
            "folds": list(model.folds),
            "mirroring": options.mirror,
            "device": str(device),
            "seconds": round(summary.seconds, 1),
            "predicted": len(summary.masks),
            "failed": summary.failed,
        },
    )
