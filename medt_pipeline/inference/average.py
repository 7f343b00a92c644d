"""Class probabilities of images, averaged over the members of an ensemble and the folds of each, and their masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from medt_pipeline.core.manifest import content_hash
from medt_pipeline.evaluation.uncertainty import entropy
from medt_pipeline.inference.inputs import SPACING_WITHOUT_UNIT
from medt_pipeline.inference.models import OpenModel
from medt_pipeline.inference.recipe import Recipe
from medt_pipeline.planning.preprocessing import how_preprocessed, make_preprocessor
from medt_pipeline.postprocessing.recipe import apply
from medt_pipeline.training.case_prediction import predict_batch_probabilities

Preprocessed = list[tuple[np.ndarray, dict[str, Any]]]


@dataclass(frozen=True)
class Average:
    """What the members of an ensemble say of an image.

    Attributes:
        probabilities: their weighted mean, (classes, 1, H, W).
        mean_entropy: the weighted mean of their own entropies, (1, H, W).
    """

    probabilities: np.ndarray
    mean_entropy: np.ndarray


def average_members(members: Sequence[OpenModel], planes: np.ndarray) -> Average:
    """`average_batch` for one image (channels, 1, H, W)."""
    return average_batch(members, [planes])[0]


def average_batch(members: Sequence[OpenModel], images: Sequence[np.ndarray]) -> list[Average]:
    """Weighted mean over models, and over the folds of each, for images (channels, 1, H, W) each.

    Averaging probabilities is what `nnUNetv2_ensemble` does between models; `nnUNetv2_predict` averages the logits of
    folds instead, so masks of several folds may differ where the folds disagree. One network's probabilities are in
    memory at a time; models that preprocess alike share the result.
    """
    preprocessed: dict[str, Preprocessed] = {}
    totals: list[Any] = [np.float32(0)] * len(images)
    entropies: list[Any] = [np.float32(0)] * len(images)
    for member in members:
        first = member.predictors[0]
        key = content_hash(how_preprocessed(first.configuration_manager))
        if key not in preprocessed:
            preprocessed[key] = [preprocess(first, planes) for planes in images]
        weight = np.float32(member.weight / len(member.predictors))
        for predictor in member.predictors:
            for index, probabilities in enumerate(_probabilities(predictor, preprocessed[key])):
                totals[index] = totals[index] + weight * probabilities.astype(np.float32)
                entropies[index] = entropies[index] + weight * entropy(probabilities)
    return [Average(np.asarray(total), np.asarray(of)) for total, of in zip(totals, entropies, strict=True)]


def mask_of(members: Sequence[OpenModel], recipe: Recipe | None, mean: Average) -> np.ndarray:
    """Label map (H, W), uint8 or where labels go beyond 255 uint16, after the post-processing of the recipe."""
    labels = members[0].predictors[0].label_manager.convert_probabilities_to_segmentation(mean.probabilities)[0]
    if recipe is not None:
        labels = apply(recipe.postprocessing, labels, mean.probabilities[:, 0])
    return labels.astype(np.uint8 if labels.max() < 256 else np.uint16)


def preprocess(predictor: nnUNetPredictor, planes: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """An image (channels, 1, H, W) as the networks see it, of the same order, and what is noted for the way back."""
    settings = predictor.configuration_manager
    data, _, properties = make_preprocessor(settings).run_case_npy(
        planes, None, {"spacing": SPACING_WITHOUT_UNIT}, predictor.plans_manager, settings, predictor.dataset_json
    )
    return data, properties


def _probabilities(predictor: nnUNetPredictor, images: Preprocessed) -> list[np.ndarray]:
    """By image, (classes, 1, H, W); those of one size after preprocessing, which may crop, go together."""
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, (data, _) in enumerate(images):
        by_shape[data.shape].append(index)
    found: dict[int, np.ndarray] = {}
    for indices in by_shape.values():
        data = np.stack([images[index][0] for index in indices])
        # nnU-Net's way back to the image changes what was noted
        properties = [dict(images[index][1]) for index in indices]
        found |= zip(indices, predict_batch_probabilities(predictor, data, properties), strict=True)
    return [found[index] for index in range(len(images))]
