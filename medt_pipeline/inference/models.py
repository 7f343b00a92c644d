"""Finding and opening what has been trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.training.case_prediction import make_predictor
from medt_pipeline.training.run import FINAL, TRAINER, Fold
from medt_pipeline.training.trainer import nnUNetTrainerMedT, read_checkpoint

PLANS_SEPARATOR = "__"


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
    if not trained:
        raise UserError(f"Nothing is trained yet in {workspace.results}; train with medt_train ID fold0.")
    names = sorted({model.dataset_name for model in trained})
    if dataset_id is not None:
        name = workspace.dataset_name(dataset_id)
    elif len(names) == 1:
        name = names[0]
    else:
        raise UserError(f"Several data sets are trained: {', '.join(names)}; say which with -d.")
    of_dataset = [model for model in trained if model.dataset_name == name]
    found = [model for model in of_dataset if model.configuration == configuration]
    if not found:
        others = ", ".join(model.configuration for model in of_dataset)
        hint = f"; trained are: {others}" if others else "; train it with medt_train"
        raise UserError(f"No fold of configuration {configuration!r} of {name} is trained{hint}.")
    return _with_folds(found[0], folds)


def open_folds(model: TrainedModel, device: torch.device, mirror: bool) -> list[nnUNetPredictor]:
    """One predictor a fold, with its weights.

    Args:
        model: what to open.
        device: where to predict.
        mirror: average over mirror images, as the training says.

    Raises:
        UserError: a file is missing or is not what training writes.
    """
    dataset_json = read_json(model.folder / "dataset.json")
    plans = PlansManager(read_json(model.folder / "plans.json"))
    settings = plans.get_configuration(model.configuration)
    predictors = []
    for fold in model.folds:
        checkpoint = read_checkpoint(model.folder / f"fold_{fold}" / FINAL, torch.device("cpu"))
        network = nnUNetTrainerMedT.build_network_architecture(
            plans,
            settings,
            determine_num_input_channels(plans, settings, dataset_json),
            plans.get_label_manager(dataset_json).num_segmentation_heads,
            enable_deep_supervision=False,
        )
        network.load_state_dict(checkpoint["network_weights"])
        axes = checkpoint["inference_allowed_mirroring_axes"] if mirror else None
        predictors.append(
            make_predictor(network.to(device).eval(), plans, model.configuration, dataset_json, TRAINER, axes, device)
        )
    return predictors


def expected_channels(dataset_json: dict[str, Any]) -> int:
    """Number of image channels that the model was trained on."""
    return len(dataset_json["channel_names"])


def _trained_models(workspace: Workspace) -> list[TrainedModel]:
    models = []
    for folder in sorted(workspace.results.glob(f"Dataset*/{TRAINER}{PLANS_SEPARATOR}*{PLANS_SEPARATOR}*")):
        folds = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{FINAL}"))
        numbered = tuple(sorted(int(fold) for fold in folds if fold.isdigit()))
        if folds:
            configuration = folder.name.split(PLANS_SEPARATOR)[2]
            models.append(TrainedModel(folder, folder.parent.name, configuration, numbered or ("all",)))
    return models


def _with_folds(model: TrainedModel, folds: tuple[Fold, ...] | None) -> TrainedModel:
    if folds is None:
        return model
    missing = [fold for fold in folds if not (model.folder / f"fold_{fold}" / FINAL).exists()]
    if missing:
        trained = ", ".join(map(str, model.folds))
        raise UserError(f"Fold {missing[0]} of {model.dataset_name} is not trained; trained are: {trained}.")
    return TrainedModel(model.folder, model.dataset_name, model.configuration, folds)
