"""Finding and opening what has been trained."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.inference.recipe import RECIPE_FILE, Recipe, read_recipe
from medt_pipeline.inference.weights import load_weights
from medt_pipeline.training.case_prediction import make_predictor
from medt_pipeline.training.checkpoint import read_checkpoint
from medt_pipeline.training.run import FINAL, TRAINER, Fold
from medt_pipeline.training.trainer import nnUNetTrainerMedT

PLANS_SEPARATOR = "__"


@dataclass(frozen=True)
class FoldWeights:
    """What was learned in one fold.

    Attributes:
        tensors: by name, as `load_weights` takes them.
        mirror_axes: spatial axes over whose mirror images predictions may be averaged; None for none.
    """

    tensors: Mapping[str, torch.Tensor]
    mirror_axes: tuple[int, ...] | None


class StoredModel(Protocol):
    """A configuration of a data set with trained folds, wherever it is stored."""

    @property
    def dataset_name(self) -> str:
        """Such as "Dataset101_GlaS"."""

    @property
    def configuration(self) -> str:
        """Such as "2d"."""

    @property
    def folds(self) -> tuple[Fold, ...]:
        """Those that predict, at least one."""

    def dataset_json(self) -> dict[str, Any]:
        """Content of nnU-Net's dataset.json."""

    def plans(self) -> dict[str, Any]:
        """Content of nnU-Net's plans.json."""

    def fold_weights(self, fold: Fold) -> FoldWeights:
        """What was learned in one of the folds.

        Raises:
            UserError: it is missing or broken.
        """


@dataclass(frozen=True)
class TrainedModel:
    """A configuration of a data set with its trained folds.

    Attributes:
        folder: nnU-Net's model folder, with plans.json, dataset.json and fold_N.
        dataset_name: e.g. "Dataset101_GlaS".
        configuration: e.g. "2d".
        folds: folds with a final checkpoint; "all" only where it is the only one.
    """

    folder: Path
    dataset_name: str
    configuration: str
    folds: tuple[Fold, ...]

    def dataset_json(self) -> dict[str, Any]:
        """Content of dataset.json.

        Raises:
            UserError: it is missing or broken.
        """
        content: dict[str, Any] = read_json(self.folder / "dataset.json")
        return content

    def plans(self) -> dict[str, Any]:
        """Content of plans.json.

        Raises:
            UserError: it is missing or broken.
        """
        content: dict[str, Any] = read_json(self.folder / "plans.json")
        return content

    def fold_weights(self, fold: Fold) -> FoldWeights:
        """What the final checkpoint of a fold holds.

        Raises:
            UserError: it is missing or is not what training writes.
        """
        checkpoint = read_checkpoint(self.folder / f"fold_{fold}" / FINAL, torch.device("cpu"))
        return FoldWeights(checkpoint["network_weights"], checkpoint["inference_allowed_mirroring_axes"])


@dataclass(frozen=True)
class Ensemble:
    """Trained models whose probabilities are averaged.

    Attributes:
        models: at least one, of one data set.
        weights: of each; they add up to 1.
        recipe: what medt_find_best selected; None where the models were named.
        file_checksum: of the model file that holds them; None in a workspace.
    """

    models: tuple[StoredModel, ...]
    weights: tuple[float, ...]
    recipe: Recipe | None = None
    file_checksum: str | None = None

    @property
    def name(self) -> str:
        """Data set, configurations and folds, for messages."""
        parts = [f"{one.configuration} (folds {', '.join(map(str, one.folds))})" for one in self.models]
        return f"{self.models[0].dataset_name}, {' + '.join(parts)}"


@dataclass(frozen=True)
class OpenModel:
    """A model with its networks in memory.

    Attributes:
        predictors: one a fold.
        weight: of the mean of its folds.
        configuration: its name in the plans.
    """

    predictors: tuple[nnUNetPredictor, ...]
    weight: float
    configuration: str

    @property
    def normalization(self) -> tuple[str, ...]:
        """Names of nnU-Net's classes, one a channel."""
        return tuple(self.predictors[0].configuration_manager.normalization_schemes)


def find_ensemble(
    workspace: Workspace, dataset_id: int | None, configuration: str | None, folds: tuple[Fold, ...] | None = None
) -> Ensemble:
    """What to predict with: the recipe of medt_find_best where nothing is named and there is one, else a model.

    Arguments and errors as `find_model`; `configuration` None takes the recipe, else "2d".
    """
    if configuration is None and folds is None:
        name = _dataset_to_predict(workspace, dataset_id, _trained_models(workspace))
        if (workspace.results / name / RECIPE_FILE).exists():
            return _of_recipe(workspace.results / name)
    return ensemble_of(find_model(workspace, dataset_id, configuration or "2d", folds))


def ensemble_in_folder(folder: Path) -> Ensemble:
    """The trained models in `folder`: the results of a data set, or one of its model folders.

    Raises:
        UserError: there are none, or several among which no recipe chooses.
    """
    if (folder / RECIPE_FILE).exists():
        return _of_recipe(folder)
    pattern = f"{TRAINER}{PLANS_SEPARATOR}*{PLANS_SEPARATOR}*"
    candidates = [folder] if folder.match(pattern) else sorted(folder.glob(pattern))
    models = [model for model in map(_trained_model, candidates) if model.folds]
    if not models:
        raise UserError(f"{folder} holds no trained model; name a model file, or results/DatasetNNN_… of a workspace.")
    of_name = [model for model in models if model.configuration == "2d"]
    if len(models) > 1 and not of_name:
        names = ", ".join(model.folder.name for model in models)
        raise UserError(f"{folder} holds several models: {names}; name the folder of one.")
    return ensemble_of((of_name or models)[0])


def ensemble_of(model: StoredModel) -> Ensemble:
    """The ensemble of one model."""
    return Ensemble((model,), (1.0,))


def identity_of(ensemble: Ensemble) -> dict[str, Any]:
    """What changes, JSON-like, when an ensemble would predict otherwise; what is unknown counts as changed."""
    recipe = None if ensemble.recipe is None else ensemble.recipe.to_json()
    if ensemble.file_checksum is not None:
        return {"file": ensemble.file_checksum, "recipe": recipe}
    networks: list[Any] = []
    for model, weight in zip(ensemble.models, ensemble.weights, strict=True):
        if not isinstance(model, TrainedModel):
            return {"unknown": uuid.uuid4().hex}
        for fold in model.folds:
            facts = (model.folder / f"fold_{fold}" / FINAL).stat()
            networks.append([str(model.folder), fold, weight, facts.st_size, facts.st_mtime_ns])
    return {"networks": networks, "plans": [model.plans() for model in ensemble.models], "recipe": recipe}


def open_ensemble(ensemble: Ensemble, device: torch.device, mirror: bool) -> tuple[OpenModel, ...]:
    """Its models with their networks; arguments and errors as `open_folds`."""
    return tuple(
        OpenModel(tuple(open_folds(model, device, mirror)), weight, model.configuration)
        for model, weight in zip(ensemble.models, ensemble.weights, strict=True)
    )


def _of_recipe(results: Path) -> Ensemble:
    recipe = read_recipe(results)
    models = [_with_folds(_trained_model(results / one.model), one.folds) for one in recipe.members]
    return Ensemble(tuple(models), tuple(one.weight for one in recipe.members), recipe)


def find_model(
    workspace: Workspace, dataset_id: int | None, configuration: str, folds: tuple[Fold, ...] | None = None
) -> TrainedModel:
    """The model to predict with.

    Args:
        workspace: where to look.
        dataset_id: None takes the only data set with a trained fold.
        configuration: name of the configuration.
        folds: None takes all trained folds of the cross-validation, or `all` where there are none.

    Raises:
        UserError: nothing, or nothing unambiguous, is trained; a wanted fold is not trained.
    """
    trained = _trained_models(workspace)
    name = _dataset_to_predict(workspace, dataset_id, trained)
    of_dataset = [model for model in trained if model.dataset_name == name]
    found = [model for model in of_dataset if model.configuration == configuration]
    if not found:
        others = ", ".join(model.configuration for model in of_dataset)
        hint = f"; trained are: {others}" if others else "; train it with medt_train"
        raise UserError(f"No fold of configuration {configuration!r} of {name} is trained{hint}.")
    return _with_folds(found[0], folds)


def open_folds(model: StoredModel, device: torch.device, mirror: bool) -> list[nnUNetPredictor]:
    """One predictor a fold, with its weights.

    Args:
        model: what to open.
        device: where to predict.
        mirror: average over mirror images, as the training says.

    Raises:
        UserError: a file is missing or is not what training writes.
    """
    dataset_json, plans = model.dataset_json(), PlansManager(model.plans())
    predictors = []
    for fold in model.folds:
        weights = model.fold_weights(fold)
        network = make_network(plans, model.configuration, dataset_json)
        load_weights(network, weights.tensors, f"fold {fold} of {model.configuration}")
        axes = weights.mirror_axes if mirror else None
        predictors.append(
            make_predictor(network.to(device).eval(), plans, model.configuration, dataset_json, TRAINER, axes, device)
        )
    return predictors


def make_network(plans: PlansManager, configuration: str, dataset_json: dict[str, Any]) -> nn.Module:
    """The network of a configuration with its initial weights, set to predict at full resolution alone.

    Raises:
        UserError: the plan describes a network that cannot be.
    """
    try:
        settings = plans.get_configuration(configuration)
        return nnUNetTrainerMedT.build_network_architecture(
            plans,
            settings,
            determine_num_input_channels(plans, settings, dataset_json),
            plans.get_label_manager(dataset_json).num_segmentation_heads,
            enable_deep_supervision=False,
        )
    # Networks answer to arguments that they cannot have with whatever these lead to.
    except Exception as error:
        raise UserError(
            f"The network of configuration {configuration!r} cannot be made from its plan "
            f"({type(error).__name__}: {error}); restore the plan."
        ) from error


def expected_channels(dataset_json: dict[str, Any]) -> int:
    """Number of image channels that the model was trained on."""
    return len(dataset_json["channel_names"])


def _dataset_to_predict(workspace: Workspace, dataset_id: int | None, trained: list[TrainedModel]) -> str:
    if not trained:
        raise UserError(f"Nothing is trained yet in {workspace.results}; train with medt_train ID fold0.")
    names = sorted({model.dataset_name for model in trained})
    if dataset_id is not None:
        return workspace.dataset_name(dataset_id)
    if len(names) > 1:
        raise UserError(f"Several data sets are trained: {', '.join(names)}; say which with -d.")
    return names[0]


def _trained_models(workspace: Workspace) -> list[TrainedModel]:
    folders = sorted(workspace.results.glob(f"Dataset*/{TRAINER}{PLANS_SEPARATOR}*{PLANS_SEPARATOR}*"))
    return [model for model in map(_trained_model, folders) if model.folds]


def _trained_model(folder: Path) -> TrainedModel:
    folds = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{FINAL}"))
    numbered: tuple[Fold, ...] = tuple(sorted(int(fold) for fold in folds if fold.isdigit()))
    only_all: tuple[Fold, ...] = ("all",) if folds else ()
    return TrainedModel(folder, folder.parent.name, folder.name.split(PLANS_SEPARATOR)[2], numbered or only_all)


def _with_folds(model: TrainedModel, folds: tuple[Fold, ...] | None) -> TrainedModel:
    if folds is None:
        return model
    missing = [fold for fold in folds if not (model.folder / f"fold_{fold}" / FINAL).exists()]
    if missing:
        trained = ", ".join(map(str, model.folds))
        raise UserError(f"Fold {missing[0]} of {model.dataset_name} is not trained; trained are: {trained}.")
    return TrainedModel(model.folder, model.dataset_name, model.configuration, folds)
