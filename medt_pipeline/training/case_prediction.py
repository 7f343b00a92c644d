"""Class probabilities of one preprocessed case, by nnU-Net's sliding window and nnU-Net's way back to the image."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn


def make_predictor(
    network: nn.Module,
    plans_manager: PlansManager,
    configuration: str,
    dataset_json: dict[str, Any],
    trainer_name: str,
    mirror_axes: tuple[int, ...] | None,
    device: torch.device,
) -> nnUNetPredictor:
    """nnU-Net's predictor around a network that has its weights.

    Args:
        network: in the state in which it shall predict.
        plans_manager: of the plans with which it was trained.
        configuration: name of its configuration.
        dataset_json: content of the data set's dataset.json.
        trainer_name: class name of its trainer.
        mirror_axes: spatial axes over whose mirror images predictions are averaged; None for none.
        device: where to predict.
    """
    # The predictor announces on the console what is always so on a CPU.
    with contextlib.redirect_stdout(io.StringIO()):
        predictor = nnUNetPredictor(
            tile_step_size=0.5,
            use_gaussian=True,
            use_mirroring=mirror_axes is not None,
            perform_everything_on_device=device.type == "cuda",
            device=device,
            allow_tqdm=False,
        )
    predictor.manual_initialization(
        network,
        plans_manager,
        plans_manager.get_configuration(configuration),
        None,
        dataset_json,
        trainer_name,
        mirror_axes,
    )
    return predictor


def predict_probabilities(
    predictor: nnUNetPredictor, image: np.ndarray, properties: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Predict one preprocessed case.

    Args:
        predictor: made by `make_predictor`.
        image: preprocessed (C, 1, H, W) float32.
        properties: what preprocessing noted about the case.

    Returns:
        Label map (1, H, W) and probabilities (classes, 1, H, W) at the size of the original image.
    """
    logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(np.array(image))).cpu()
    return convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.label_manager,
        properties,
        return_probabilities=True,
        num_threads_torch=torch.get_num_threads(),
    )
