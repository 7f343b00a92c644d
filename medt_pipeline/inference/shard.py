"""Masks for a list of images: the unit of work of a prediction, in this process or in one of a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, make_folder, write_json
from medt_pipeline.core.images import stem_of, write_png
from medt_pipeline.core.manifest import content_hash, versions
from medt_pipeline.core.pixel_size_of_files import read_pixel_size
from medt_pipeline.core.progress import progress
from medt_pipeline.core.remote import Place, RemoteFile, contents, local_copy, written
from medt_pipeline.evaluation.quality import expected_dice
from medt_pipeline.evaluation.uncertainty import as_picture, disagreement, entropy
from medt_pipeline.fingerprint.case_facts import measure_image
from medt_pipeline.fingerprint.shift import TrainingImages, unlike
from medt_pipeline.inference.average import Average, average_members, mask_of
from medt_pipeline.inference.inputs import InputFile, read_input, require_scale
from medt_pipeline.inference.models import Ensemble, OpenModel, expected_channels, identity_of, open_ensemble
from medt_pipeline.inference.recipe import Recipe, objects_of

RECORDS = ".medt_predict"
"""Folder beside the masks in which an unfinished prediction notes what it has done; it is removed at the end."""

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


@dataclass(frozen=True)
class CaseResult:
    """What became of an image.

    Attributes:
        image: its name.
        expected: Dice that the probabilities expect of its mask; NaN where it shows nothing.
        unlike: in what it is unlike the training images; None where nothing was compared.
        failed: why there is no mask; None where there is one.
    """

    image: str
    expected: float = float("nan")
    unlike: list[str] | None = None
    failed: str | None = None


@dataclass(frozen=True)
class PredictionJob:
    """What predicting an image takes beside the image.

    Attributes:
        ensemble: what predicts.
        target: where masks go.
        device: such as "cpu".
        options: what is written.
        key: of all this but the target; what was done with another key is done again.
    """

    ensemble: Ensemble
    target: Place
    device: str
    options: PredictionOptions
    key: str


def make_job(ensemble: Ensemble, target: Place, device: torch.device, options: PredictionOptions) -> PredictionJob:
    """The job of a prediction."""
    training = None if options.training_images is None else repr(options.training_images)
    key = content_hash(
        {
            "versions": versions(),
            "ensemble": identity_of(ensemble),
            "device": str(device),
            "written": [options.mirror, options.save_probabilities, options.uncertainty],
            "overlays": getattr(options.draw_overlay, "__qualname__", None),
            "training": training,
        }
    )
    return PredictionJob(ensemble, target, str(device), options, key)


def predict_shard(images: Sequence[InputFile], job: PredictionJob, quiet: bool = True) -> list[CaseResult]:
    """Predict a mask for each of some images and write it; an image that cannot be read does not stop the others.

    What was finished before, by this job, is not done again. Done twice it leaves the same files.

    Raises:
        UserError: the model cannot be opened, or the target not written.
    """
    keys = {image.name: content_hash([job.key, *_version(image)]) for image in images}
    found = _finished(images, job, keys)
    left = [image for image in images if image.name not in found]
    if left:
        members = open_ensemble(job.ensemble, torch.device(job.device), job.options.mirror)
        channels = expected_channels(job.ensemble.models[0].dataset_json())
        for image in progress(left, "Predict", len(left), "image", quiet):
            try:
                found[image.name] = _predict(image, job, members, channels)
            except UserError as error:
                found[image.name] = CaseResult(image.name, failed=str(error))
            else:
                # Last: with it the image is done.
                with written(job.target / RECORDS) as folder:
                    record = {"key": keys[image.name], **asdict(found[image.name])}
                    write_json(make_folder(folder) / f"{stem_of(Path(image.name))}.json", record)
    return [found[image.name] for image in images]


def _version(image: InputFile) -> list[Any]:
    """What changes with an image's content."""
    if isinstance(image, RemoteFile):
        return [image.url, image.size, image.version]
    facts = image.stat()
    return [str(image.resolve()), facts.st_size, facts.st_mtime_ns]


def _finished(images: Sequence[InputFile], job: PredictionJob, keys: dict[str, str]) -> dict[str, CaseResult]:
    """Results of images whose mask was written by the same job before."""
    stems = {image.name: stem_of(Path(image.name)) for image in images}
    records = contents(job.target / RECORDS, [f"{stem}.json" for stem in stems.values()])
    found = {}
    for name, stem in stems.items():
        record = json.loads(records.get(f"{stem}.json", b"{}"))
        if record.pop("key", None) == keys[name] and contents(job.target, [f"{stem}.png"]):
            found[name] = CaseResult(**record)
    return found


def _predict(image: InputFile, job: PredictionJob, members: tuple[OpenModel, ...], channels: int) -> CaseResult:
    """One image; its name in messages is that which it has at home."""
    different, training = None, job.options.training_images
    with local_copy(image) as file:
        try:
            picture, planes = read_input(file, channels)
        except UserError as error:
            raise UserError(str(error).replace(str(file), str(image))) from None
        require_scale(picture, members[0].normalization, str(image))
        if training is not None:
            different = unlike(measure_image(planes[:, 0], read_pixel_size(file)), training)
    mean = average_members(members, planes)
    mask = mask_of(members, job.ensemble.recipe, mean)
    with written(job.target) as folder:
        _write_image(stem_of(Path(image.name)), picture, mean, mask, folder, job.ensemble.recipe, job.options)
    return CaseResult(image.name, expected_dice(mean.probabilities[:, 0], mask), different)


def _write_image(
    name: str,
    picture: np.ndarray,
    mean: Average,
    mask: np.ndarray,
    target: Path,
    recipe: Recipe | None,
    options: PredictionOptions,
) -> None:
    """Write what is asked for of one image, the mask last."""
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
    write_png(target / f"{name}.png", mask)
