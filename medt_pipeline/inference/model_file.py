"""Model files (.medt): one sealed zip with everything that predicting needs, and what a reader wants to know of it.

Reading one needs neither torch nor nnU-Net, and runs nothing that is in it: JSON, safetensors and a PNG.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.sealed_zip import check_seal, member_sizes, read_member
from medt_pipeline.fingerprint.plain import from_plain
from medt_pipeline.fingerprint.shift import TrainingImages
from medt_pipeline.inference.recipe import RECIPE_FILE, Recipe, recipe_of

ENDING = ".medt"
KIND = "medt_pipeline model"
FORMAT = 1
"""Rises when a reader of the format before could not use the file."""

MANIFEST = "manifest.json"
DATASET, PLANS = "dataset.json", "plans.json"
TRAINING_DATA = "training_data.json"
SCORES = "scores.json"
LICENCE = "LICENCE.txt"
PREVIEW = "preview.png"
REQUIRED = (DATASET, PLANS, RECIPE_FILE, TRAINING_DATA, SCORES)
OPTIONAL = (LICENCE, PREVIEW)
MOST_TEXT_BYTES = 16 * 2**20
"""Of a member that is no network."""

_AGAIN = "get the file again"
_DATASET_NAME = re.compile(r"Dataset\d{3}_[A-Za-z0-9_-]+")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What could steer a terminal or turn the order of letters, tab and line break aside."""


@dataclass(frozen=True)
class StoredNetwork:
    """A network in a model file.

    Attributes:
        file: name of its member.
        configuration: in the plans.
        fold: of the training.
        mirror_axes: spatial axes over whose mirror images predictions may be averaged; None for none.
        parameters: how many numbers it has learned.
        training: versions, device, seconds and epochs of its training, as far as they are known.
    """

    file: str
    configuration: str
    fold: str
    mirror_axes: tuple[int, ...] | None
    parameters: int
    training: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As `manifest.json` holds it."""
        return {**vars(self), "mirror_axes": None if self.mirror_axes is None else list(self.mirror_axes)}


@dataclass(frozen=True)
class ModelFile:
    """A model file whose checksum was compared, with all that is in it but the networks' weights.

    Attributes:
        path: where it lies.
        checksum: that ends it; the same for all copies of it.
        manifest: content of manifest.json.
        networks: in the order of the recipe.
        dataset_json: channels and labels, as nnU-Net writes them.
        plans: nnU-Net's plans, of the configurations that predict.
        recipe: members, weights, post-processing, and the calibration of the quality estimate.
        selected: whether medt_find_best chose the recipe.
        training_images: to compare new images with; None where the training had no fingerprint.
        description: what else is known of the training data, for people.
        scores: on held-out cases; None where none are known.
        scores_of: what was scored, a phrase.
        licence: its text; None without one.
    """

    path: Path
    checksum: str
    manifest: Mapping[str, Any]
    networks: tuple[StoredNetwork, ...]
    dataset_json: dict[str, Any]
    plans: dict[str, Any]
    recipe: Recipe
    selected: bool
    training_images: TrainingImages | None
    description: Mapping[str, Any]
    scores: Mapping[str, Any] | None
    scores_of: str
    licence: str | None

    @property
    def dataset_name(self) -> str:
        """Such as "Dataset101_GlaS"."""
        return str(self.plans["dataset_name"])

    def content_of(self, member: str) -> bytes:
        """A member whose checksum is that of the manifest.

        Raises:
            UserError: it was changed since the file was opened.
        """
        return read_member(self.path, member, self.manifest["files"][member]["sha256"])


def is_model_file(path: Path) -> bool:
    """Whether `path` names a model file, by its ending."""
    return path.suffix.lower() == ENDING


def open_model_file(path: Path) -> ModelFile:
    """Check every byte of a model file, then read what describes it.

    Raises:
        UserError: it is missing, damaged, of a newer format, or not what medt_export writes.
    """
    checksum = check_seal(path)
    sizes = member_sizes(path)
    manifest = _read_manifest(path, sizes)
    try:
        return _read(path, checksum, manifest)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(f"{path} is not what medt_export writes ({type(error).__name__}: {error}); {_AGAIN}.") from None


def printable(text: object) -> str:
    """`text` from a file of others without what could steer a terminal."""
    return _CONTROL.sub("�", str(text))


def _read_manifest(path: Path, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The manifest, whose list of members is that of the file."""
    if sizes.get(MANIFEST, MOST_TEXT_BYTES + 1) > MOST_TEXT_BYTES:
        raise UserError(f"{path} has no manifest that could be read; {_AGAIN}.")
    manifest = _json_of(read_member(path, MANIFEST), path, MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND or not isinstance(manifest.get("format"), int):
        raise UserError(f"{path} is not a model file of medt_export.")
    if manifest["format"] > FORMAT:
        raise UserError(
            f"{path} has the format {manifest['format']}, but this medt_pipeline reads formats up to {FORMAT}; "
            "install a newer one."
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or {**_listed_sizes(files), MANIFEST: sizes[MANIFEST]} != dict(sizes):
        raise UserError(f"{path} holds other members than its manifest lists; {_AGAIN}.")
    return manifest


def _listed_sizes(files: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.get("bytes") if isinstance(one, dict) else None for name, one in files.items()}


def _read(path: Path, checksum: str, manifest: dict[str, Any]) -> ModelFile:
    known = {name for name in (*REQUIRED, *OPTIONAL) if name in manifest["files"]}
    content = {name: _text_of(path, manifest, name) for name in sorted(known) if name != PREVIEW}
    parts = {name: _json_of(content[name], path, name) for name in REQUIRED}
    networks = tuple(_network(one, manifest["files"]) for one in manifest["networks"])
    recipe = recipe_of(parts[RECIPE_FILE], f"{RECIPE_FILE} in {path}", _AGAIN)
    _require_networks(recipe, networks, path)
    _require_labels(parts[DATASET])
    if not _DATASET_NAME.fullmatch(parts[PLANS]["dataset_name"]):
        raise ValueError("the name of the data set is none")
    images = parts[TRAINING_DATA]["images"]
    return ModelFile(
        path,
        checksum,
        manifest,
        networks,
        parts[DATASET],
        parts[PLANS],
        recipe,
        bool(parts[RECIPE_FILE].get("selected")),
        None if images is None else from_plain(TrainingImages, images),
        dict(parts[TRAINING_DATA]["description"]),
        parts[SCORES]["score"],
        str(parts[SCORES]["of"]),
        content[LICENCE].decode("utf-8") if LICENCE in content else None,
    )


def _text_of(path: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    if manifest["files"][name]["bytes"] > MOST_TEXT_BYTES:
        raise ValueError(f"{name} is larger than {MOST_TEXT_BYTES} bytes")
    return read_member(path, name, manifest["files"][name]["sha256"])


def _json_of(content: bytes, path: Path, name: str) -> Any:
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} in {path} is not valid JSON ({error}); {_AGAIN}.") from None


def _network(content: Mapping[str, Any], files: Mapping[str, Any]) -> StoredNetwork:
    axes = content["mirror_axes"]
    network = StoredNetwork(
        str(content["file"]),
        str(content["configuration"]),
        str(content["fold"]),
        None if axes is None else tuple(int(axis) for axis in axes),
        int(content["parameters"]),
        dict(content["training"]),
    )
    if network.file not in files or not _WORD.fullmatch(network.configuration) or not _WORD.fullmatch(network.fold):
        raise ValueError(f"{network.file!r} is no network of it")
    if network.mirror_axes is not None and (not network.mirror_axes or not set(network.mirror_axes) <= {0, 1}):
        raise ValueError(f"mirror_axes must be of 0 and 1, got {network.mirror_axes}")
    return network


def _require_networks(recipe: Recipe, networks: tuple[StoredNetwork, ...], path: Path) -> None:
    wanted = [(one.configuration, str(fold)) for one in recipe.members for fold in one.folds]
    if sorted(wanted) != sorted((one.configuration, one.fold) for one in networks) or not wanted:
        raise UserError(f"{path} holds other networks than its recipe needs; {_AGAIN}.")
    weights = [one.weight for one in recipe.members]
    if not all(0 < weight <= 1 for weight in weights) or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise UserError(f"{path} has a recipe whose weights do not add up to 1; {_AGAIN}.")


def _require_labels(dataset_json: Mapping[str, Any]) -> None:
    labels, channels = dataset_json["labels"], dataset_json["channel_names"]
    values = [value for one in labels.values() for value in (one if isinstance(one, list) else [one])]
    if not values or not all(isinstance(value, int) and 0 <= value < 2**16 for value in values):
        raise ValueError("labels must be whole numbers")
    if not channels or list(channels) != [str(number) for number in range(len(channels))]:
        raise ValueError("channel_names must name channel 0, 1, …")
