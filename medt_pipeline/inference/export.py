"""Writing a trained model as one file that travels, or as a folder of stock nnU-Net."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, make_folder, scratch_folder, write_json
from medt_pipeline.core.images import encode_png
from medt_pipeline.core.manifest import versions
from medt_pipeline.core.sealed_zip import write_sealed
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.inference.model_content import (
    dataset_content,
    plans_content,
    scores_content,
    training_content,
    training_data_content,
)
from medt_pipeline.inference.model_file import (
    DATASET,
    FORMAT,
    KIND,
    LICENCE,
    MANIFEST,
    PLANS,
    PREVIEW,
    SCORES,
    TRAINING_DATA,
    StoredNetwork,
)
from medt_pipeline.inference.models import Ensemble, FoldWeights, StoredModel, TrainedModel, make_network
from medt_pipeline.inference.recipe import FORMAT as RECIPE_FORMAT
from medt_pipeline.inference.recipe import RECIPE_FILE, Member, Recipe
from medt_pipeline.inference.weights import load_weights, packed_weights
from medt_pipeline.postprocessing.recipe import PostProcessing
from medt_pipeline.training.run import FINAL, TRAINER, Fold

STOCK_TRAINER = "nnUNetTrainer"
"""Builds the networks of the exported plans as ours does, and needs no variable to be found."""


@dataclass(frozen=True)
class ExportOptions:
    """What goes into a model file beside the model.

    Attributes:
        licence: text of the terms under which it may be used.
        preview: a picture to show, (H, W) or (H, W, 3) uint8.
    """

    licence: str | None = None
    preview: np.ndarray | None = None


def export_model(
    ensemble: Ensemble, workspace: Workspace, target: Path, options: ExportOptions = ExportOptions()
) -> str:
    """Write a trained model as one file; the same model gives the same bytes.

    Args:
        ensemble: of trained folds in `workspace`.
        workspace: where facts and scores of the data set lie.
        target: the file.
        options: what else goes into it.

    Returns:
        The checksum that ends the file.

    Raises:
        UserError: a checkpoint or another file is broken.
    """
    make_folder(target.absolute().parent)
    return write_sealed(target, _members(ensemble, workspace, options))


def _members(ensemble: Ensemble, workspace: Workspace, options: ExportOptions) -> Iterator[tuple[str, bytes]]:
    """All members, one network in memory at a time; the manifest, which knows the others' checksums, is the last."""
    name = ensemble.models[0].dataset_name
    plans, texts = _texts(ensemble, workspace)
    files: dict[str, dict[str, Any]] = {}

    def noted(file: str, content: bytes) -> tuple[str, bytes]:
        files[file] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return file, content

    for file, text in texts.items():
        yield noted(file, _json(text))
    if options.licence is not None:
        yield noted(LICENCE, options.licence.encode("utf-8"))
    if options.preview is not None:
        yield noted(PREVIEW, encode_png(options.preview))
    networks = []
    for model in ensemble.models:
        for fold in model.folds:
            network, weights = prediction_network(model, fold, plans[model.configuration], texts[DATASET])
            stored = _stored(model, fold, network, weights)
            yield noted(stored.file, packed_weights(network))
            networks.append(stored.to_json())
    content = {"kind": KIND, "format": FORMAT, "name": name, "written_with": versions()}
    yield MANIFEST, _json({**content, "networks": networks, "files": files})


def _texts(ensemble: Ensemble, workspace: Workspace) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Plans by configuration, and the contents of the JSON members."""
    name = ensemble.models[0].dataset_name
    own = {model.configuration: model.plans() for model in ensemble.models}
    plans = {configuration: plans_content(content, [configuration]) for configuration, content in own.items()}
    first = next(iter(plans.values()))
    joined = {key: value for content in plans.values() for key, value in content["configurations"].items()}
    texts = {
        DATASET: dataset_content(ensemble.models[0].dataset_json()),
        PLANS: {**first, "configurations": joined},
        RECIPE_FILE: {"format": RECIPE_FORMAT, "selected": ensemble.recipe is not None, **_recipe(ensemble).to_json()},
        TRAINING_DATA: training_data_content(workspace, name, next(iter(own.values()))),
        SCORES: scores_content(ensemble, workspace, name),
    }
    return plans, texts


def _recipe(ensemble: Ensemble) -> Recipe:
    """The ensemble as a recipe; without post-processing where medt_find_best did not choose it."""
    members = tuple(
        Member(model_folder_name(model), model.configuration, model.folds, weight)
        for model, weight in zip(ensemble.models, ensemble.weights, strict=True)
    )
    chosen = ensemble.recipe
    return Recipe(members, chosen.postprocessing if chosen else PostProcessing(), chosen.quality if chosen else None)


def model_folder_name(model: StoredModel) -> str:
    """What nnU-Net calls the folder of a model."""
    return f"{TRAINER}__{model.plans()['plans_name']}__{model.configuration}"


def prediction_network(
    model: StoredModel, fold: Fold, plans: dict[str, Any], dataset_json: dict[str, Any]
) -> tuple[nn.Module, FoldWeights]:
    """The trained network of a fold without what serves training alone, such as heads of deep supervision.

    Args:
        model: that has the fold.
        fold: one of its folds.
        plans: of its configuration, by `plans_content`.
        dataset_json: of the data set.

    Raises:
        UserError: its weights are missing, broken or of another network.
    """
    network = make_network(PlansManager(plans), model.configuration, dataset_json)
    weights = model.fold_weights(fold)
    needed = {name: weights.tensors[name] for name in network.state_dict() if name in weights.tensors}
    load_weights(network, needed, f"fold {fold} of {model.configuration}")
    return network.eval(), weights


def _stored(model: StoredModel, fold: Fold, network: nn.Module, weights: FoldWeights) -> StoredNetwork:
    training = training_content(model.folder / f"fold_{fold}") if isinstance(model, TrainedModel) else {}
    return StoredNetwork(
        f"weights/{model.configuration}/fold_{fold}.safetensors",
        model.configuration,
        str(fold),
        weights.mirror_axes,
        sum(parameter.numel() for parameter in network.parameters()),
        training,
    )


def write_nnunet_folder(ensemble: Ensemble, target: Path) -> list[Path]:
    """Write nnU-Net's model folder of every member: dataset.json, plans.json and fold_N/checkpoint_final.pth.

    Stock `nnUNetPredictor` opens it, wherever this package is installed. Post-processing has no place in it.

    Args:
        ensemble: of a workspace or a model file.
        target: a folder that does not exist or is empty; that of the model, or of one folder a member if several.

    Returns:
        The model folders.

    Raises:
        UserError: `target` holds something, or the weights are broken.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists already and is not an empty folder; name another.")
    folders = ["."] if len(ensemble.models) == 1 else [model_folder_name(model) for model in ensemble.models]
    with scratch_folder(target.absolute().parent, target.name) as scratch:
        for model, folder in zip(ensemble.models, folders, strict=True):
            _write_model_folder(model, make_folder(scratch / folder))
        if target.exists():
            target.rmdir()
        scratch.rename(target)
    return [target / folder for folder in folders]


def _write_model_folder(model: StoredModel, folder: Path) -> None:
    dataset_json, plans = dataset_content(model.dataset_json()), plans_content(model.plans(), [model.configuration])
    write_json(folder / DATASET, dataset_json)
    write_json(folder / PLANS, plans)
    for fold in model.folds:
        network, weights = prediction_network(model, fold, plans, dataset_json)
        checkpoint = {
            "network_weights": network.state_dict(),
            "trainer_name": STOCK_TRAINER,
            "init_args": {"configuration": model.configuration, "fold": fold},
            "inference_allowed_mirroring_axes": weights.mirror_axes,
        }
        with atomic_path(make_folder(folder / f"fold_{fold}") / FINAL) as temporary:
            torch.save(checkpoint, temporary)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
