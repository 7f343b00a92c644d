"""What a model file tells of the training, without a name of a case or a patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.evaluation.score_records import with_intervals
from medt_pipeline.fingerprint.medt_fingerprint import Fingerprint, known_fingerprint
from medt_pipeline.fingerprint.plain import to_plain
from medt_pipeline.fingerprint.shift import training_images
from medt_pipeline.inference.models import Ensemble, TrainedModel
from medt_pipeline.inference.recipe import RECIPE_FILE
from medt_pipeline.training.run import MANIFEST, is_scored
from medt_pipeline.training.run import SCORES as FOLD_SCORES

OF_DATASET = (
    "channel_names",
    "labels",
    "regions_class_order",
    "numTraining",
    "file_ending",
    "overwrite_image_reader_writer",
    "name",
)
"""Keys of dataset.json that nnU-Net reads or that name no one; those of others may hold lists of files."""
OF_CONVERTER = ("description", "licence")
"""Further keys where medt_convert wrote them, from its table of data sets."""
OF_PLANS = (
    "dataset_name",
    "plans_name",
    "original_median_spacing_after_transp",
    "original_median_shape_after_transp",
    "image_reader_writer",
    "transpose_forward",
    "transpose_backward",
    "experiment_planner_used",
    "label_manager",
    "foreground_intensity_properties_per_channel",
)
OF_FINGERPRINT = (
    "cases",
    "channels",
    "gray_case_share",
    "bit_depths",
    "sizes",
    "intensity",
    "pixel_size",
    "empty_masks",
    "background_share",
    "classes",
    "ultrasound",
    "stain",
)
OF_GROUPS = ("declared", "fold_groups", "near_duplicate_cases")
OF_STAIN_LEFT_OUT = "deviations_deg"
"""Is listed by case."""
MOST_SIZES = 10
OF_TRAINING = ("packages", "device", "seed", "seconds", "epochs_trained")


def dataset_content(dataset_json: Mapping[str, Any]) -> dict[str, Any]:
    """What of dataset.json goes into a model file."""
    keys = (*OF_DATASET, *(OF_CONVERTER if dataset_json.get("converted_by") == "medt_convert" else ()))
    return {key: dataset_json[key] for key in keys if key in dataset_json}


def plans_content(plans: Mapping[str, Any], configurations: Iterable[str]) -> dict[str, Any]:
    """The plans with the configurations that predict alone, each complete; networks without deep supervision.

    Decisions keep name, rule and reason. The size of a pixel is what slides are predicted at.
    """
    manager = PlansManager(dict(plans))
    used = {}
    for name in sorted(set(configurations)):
        settings = {**manager.get_configuration(name).configuration}
        settings.pop("inherits_from", None)
        network = settings["architecture"]
        arguments = {key: value for key, value in network["arch_kwargs"].items() if key != "recompute"}
        if "deep_supervision" in arguments:
            arguments["deep_supervision"] = False
        used[name] = {**settings, "architecture": {**network, "arch_kwargs": arguments}}
    decisions = [
        {key: one.get(key) for key in ("name", "rule", "reason")} for one in plans.get("medt", {}).get("decisions", [])
    ]
    kept = {key: plans[key] for key in OF_PLANS if key in plans}
    own = {"decisions": decisions, "pixel_size_um": plans.get("medt", {}).get("pixel_size_um")}
    return {**kept, "configurations": used, "medt": own}


def training_data_content(workspace: Workspace, dataset_name: str, plans: Mapping[str, Any]) -> dict[str, Any]:
    """Ranges of the training images' facts, and a description; null where the fingerprint is not here."""
    fingerprint = known_fingerprint(workspace.preprocessed / dataset_name)
    if fingerprint is None:
        return {"images": None, "description": {}}
    decided = {one["name"]: one.get("value") for one in plans.get("medt", {}).get("decisions", [])}
    description = {"modality": decided.get("modality"), **_description(fingerprint)}
    return {"images": to_plain(training_images(fingerprint.cases.values())), "description": description}


def _description(fingerprint: Fingerprint) -> dict[str, Any]:
    summary = to_plain(fingerprint.summary)
    kept = {key: summary[key] for key in OF_FINGERPRINT}
    if kept["stain"] is not None:
        kept["stain"] = {key: value for key, value in kept["stain"].items() if key != OF_STAIN_LEFT_OUT}
    kept["sizes"] = kept["sizes"][:MOST_SIZES]
    return {**kept, "groups": {key: summary["groups"][key] for key in OF_GROUPS}}


def scores_content(ensemble: Ensemble, workspace: Workspace, dataset_name: str) -> dict[str, Any]:
    """Scores on held-out cases with intervals: those of the recipe, else those of the folds; null where none are."""
    results = workspace.results / dataset_name
    if ensemble.recipe is not None:
        score = read_json(results / RECIPE_FILE).get("score")
        return {"score": score, "of": "the whole recipe on cases that none of its networks saw, by cross-validation"}
    if len(ensemble.models) == 1 and isinstance(ensemble.models[0], TrainedModel):
        score = _of_folds(ensemble.models[0], known_fingerprint(workspace.preprocessed / dataset_name))
        return {"score": score, "of": "each fold's network on the cases that its fold held out, without the others"}
    return {"score": None, "of": ""}


def _of_folds(model: TrainedModel, fingerprint: Fingerprint | None) -> dict[str, Any] | None:
    rows: list[Mapping[str, Any]] = []
    for fold in model.folds:
        folder = model.folder / f"fold_{fold}"
        if is_scored(folder, with_probabilities=False):
            rows += read_json(folder / "validation" / FOLD_SCORES)["images"]
    if not rows:
        return None
    images = sorted({str(row["image"]) for row in rows})
    declared = {str(row["image"]): str(row["group"]) for row in rows}
    facts = {} if fingerprint is None else fingerprint.cases
    groups = [facts[image].fold_group if image in facts else declared[image] for image in images]
    labels = dict.fromkeys(str(row["label"]) for row in rows)
    return with_intervals({label: _by_image(rows, label, images) for label in labels}, groups)


def _by_image(rows: Sequence[Mapping[str, Any]], label: str, images: Sequence[str]) -> np.ndarray:
    """(images, 2): Dice and IoU of a class, NaN where undefined."""
    known = {str(row["image"]): (row["dice"], row["iou"]) for row in rows if row["label"] == label}
    return np.array([known[image] for image in images], float)


def training_content(fold_folder: Path) -> dict[str, Any]:
    """How a fold was trained, as far as its record is there."""
    record = fold_folder / MANIFEST
    content = read_json(record) if record.exists() else {}
    return {key: content[key] for key in OF_TRAINING if key in content}
