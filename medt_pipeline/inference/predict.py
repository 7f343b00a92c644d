"""From images to masks: every trained fold predicts, the probabilities are averaged."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch

from medt_pipeline.core.cluster import connected
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder, write_json, write_text
from medt_pipeline.core.images import stem_of
from medt_pipeline.core.locks import locked, remove_unfinished
from medt_pipeline.core.manifest import environment
from medt_pipeline.core.prediction_record import MANIFEST
from medt_pipeline.core.progress import progress
from medt_pipeline.core.remote import UPLOADS, Place, RemoteFile, RemoteFolder, remove_folders, written
from medt_pipeline.core.spreadsheets import to_csv
from medt_pipeline.evaluation.quality import Quality
from medt_pipeline.fingerprint.shift import RULE
from medt_pipeline.inference.inputs import InputFile, list_inputs
from medt_pipeline.inference.models import Ensemble, StoredModel, ensemble_of
from medt_pipeline.inference.recipe import QUALITY_TABLE
from medt_pipeline.inference.shard import RECORDS, PredictionOptions, make_job, predict_shard
from medt_pipeline.planning.memory_model import (
    COPIES_OF_PARAMETERS,
    PROCESS_BYTES,
    estimate_configuration_memory,
)

LOCK = ".medt_predict.lock"
SHIFT_TABLE = "medt_shift.csv"
"""Which images are unlike those of the training, beside the masks."""

Located = TypeVar("Located", Path, RemoteFile, RemoteFolder, Path | RemoteFile, Path | RemoteFolder)


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

    masks: list[Place] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unlike: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0


def predict_images(
    source: Place,
    target: Place,
    model: StoredModel | Ensemble,
    device: torch.device,
    options: PredictionOptions,
    on: str | None = None,
) -> PredictionSummary:
    """Predict a mask for every image of `source` (a folder or one file) and write it to the folder `target`.

    A mask is a PNG of the image's own size and name; its values are the labels of dataset.json, written beside.
    An image that cannot be read does not stop the others. What an interrupted prediction finished is not done again.

    Args:
        source: a path, or a URL's `RemoteFolder`.
        target: the same; nobody else may write there meanwhile, which for a URL is not checked.
        model: what predicts.
        device: where, or the kind of device with `on`.
        options: what is written.
        on: a Ray cluster, as `core.cluster.parse_cluster` reads it, that predicts; all its machines see images, masks
            and model under the same path.

    Raises:
        UserError: there are no images, `target` cannot be written, or the model cannot be opened; or another process
            writes to `target`; or the cluster cannot do its part.
    """
    images = list_inputs(source)
    ensemble = model if isinstance(model, Ensemble) else ensemble_of(model)
    if isinstance(target, RemoteFolder):
        if isinstance(source, RemoteFolder) and target.url in (source.url, source.url.rpartition("/")[0]):
            raise UserError(f"The masks would be written among the images in {target}; name another folder with -o.")
        return _predict_all(images, source, target, ensemble, device, options, on)
    source_folder = source if not isinstance(source, Path) or source.is_dir() else source.parent
    if isinstance(source_folder, Path) and target.resolve() == source_folder.resolve():
        raise UserError(f"The masks would be written among the images in {target}; name another folder with -o.")
    make_folder(target)
    with locked(target / LOCK, f"the masks in {target}"):
        for part in (".", RECORDS, "instances", "uncertainty", "disagreement", "overlays"):
            remove_unfinished(target / part)
        return _predict_all(images, source, target, ensemble, device, options, on)


def _predict_all(
    images: Sequence[InputFile],
    source: Place,
    target: Place,
    ensemble: Ensemble,
    device: torch.device,
    options: PredictionOptions,
    on: str | None,
) -> PredictionSummary:
    """`predict_images` when no other process writes to `target`."""
    started = time.monotonic()
    job = make_job(ensemble, _absolute(target), device, options)
    with connected(on) as cluster:
        if cluster is None:
            results = predict_shard(images, job, options.quiet)
        else:
            needs = cluster.needs("A prediction", _memory(ensemble, device), 1 if device.type == "cuda" else 0)
            everywhere = [_absolute(image) for image in images]
            steps = cluster.map_shards(functools.partial(predict_shard, job=job), everywhere, needs, "Images")
            results = list(progress(steps, "Predict", len(images), "image", options.quiet))
    summary = PredictionSummary()
    for image, result in zip(images, results, strict=True):
        if result.failed is not None:
            summary.failed[image.name] = result.failed
        else:
            summary.masks.append(target / f"{stem_of(Path(image.name))}.png")
        if result.unlike is not None:
            summary.unlike[image.name] = result.unlike
    summary.seconds = time.monotonic() - started
    with written(target) as folder:
        if options.training_images is not None:
            _write_shift(folder, summary.unlike)
        known = {one.image: one.expected for one in results if one.failed is None}
        _write_quality(folder, ensemble.recipe.quality if ensemble.recipe else None, known)
        _write_records(source, folder, ensemble, device, options, summary)
    remove_folders(target, [RECORDS, UPLOADS] if isinstance(target, RemoteFolder) else [RECORDS])
    return summary


def _absolute(place: Located) -> Located:
    """For processes that run in another folder."""
    return place.absolute() if isinstance(place, Path) else place


def _memory(ensemble: Ensemble, device: torch.device) -> int:
    """Bytes of main memory: on a CPU of a training step of one patch, which is more than predicting takes."""
    if device.type == "cuda":
        return PROCESS_BYTES["cpu"]
    steps = {
        model.configuration: estimate_configuration_memory(
            model.plans(), model.configuration, model.dataset_json(), "cpu", batch_size=1
        )
        for model in ensemble.models
    }
    weights = sum(
        len(model.folds) * steps[model.configuration].parameters // COPIES_OF_PARAMETERS for model in ensemble.models
    )
    return max(step.total for step in steps.values()) + weights


def _write_shift(target: Path, found: Mapping[str, list[str]]) -> None:
    """Write which images are unlike those of the training and in what, these first."""
    rows = sorted(
        ((name, len(phrases), "; ".join(phrases)) for name, phrases in found.items()), key=lambda row: -row[1]
    )
    frame = pd.DataFrame(rows, columns=["image", "facts_unlike", "what"])
    write_text(target / SHIFT_TABLE, to_csv(frame))


def _write_quality(target: Path, quality: Quality | None, expected: Mapping[str, float]) -> None:
    """Write the estimated Dice of each mask, the worst first, where a recipe tells how to estimate it."""
    if quality is None:
        return
    estimated = {name: quality.estimate(value) for name, value in expected.items()}
    worst_first = sorted(estimated.items(), key=lambda item: (np.nan_to_num(item[1], nan=2.0), item[0]))
    frame = pd.DataFrame(worst_first, columns=["image", "estimated_dice"])
    write_text(target / QUALITY_TABLE, to_csv(frame, "%.4f"))


def _write_records(
    source: Place,
    target: Path,
    ensemble: Ensemble,
    device: torch.device,
    options: PredictionOptions,
    summary: PredictionSummary,
) -> None:
    """Labels beside the masks, for whoever reads them, and how they were made."""
    write_json(target / "dataset.json", ensemble.models[0].dataset_json())
    write_json(
        target / MANIFEST,
        {
            **environment(),
            "images": str(source.resolve() if isinstance(source, Path) else source),
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
