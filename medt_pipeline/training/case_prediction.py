"""Class probabilities of one preprocessed case, by nnU-Net's sliding window and nnU-Net's way back to the image."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian
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
    return _at_original_size(predictor, logits, properties)


def predict_batch_probabilities(
    predictor: nnUNetPredictor, images: np.ndarray, properties: Sequence[dict[str, Any]]
) -> list[np.ndarray]:
    """The probabilities of `predict_probabilities` for preprocessed cases of one size, (cases, C, 1, H, W) float32."""
    if len(images) == 1:
        return [predict_probabilities(predictor, images[0], properties[0])[1]]
    logits = _batch_logits(predictor, torch.from_numpy(images)).cpu()
    return [_at_original_size(predictor, one, facts)[1] for one, facts in zip(logits, properties, strict=True)]


@torch.inference_mode()
def _batch_logits(predictor: nnUNetPredictor, images: torch.Tensor) -> torch.Tensor:
    """nnU-Net's sliding window with the same tile of all cases in one network call: (cases, classes, 1, H, W).

    `nnUNetPredictor` takes one case at a time; tiles, weights, mirror images and precision are its own.
    """
    device, patch_size = predictor.device, tuple(predictor.configuration_manager.patch_size)
    gathered_on = device if predictor.perform_everything_on_device else torch.device("cpu")
    data, unpadded = pad_nd_image(images, patch_size, "constant", {"value": 0}, True, None)
    weights = compute_gaussian(patch_size, sigma_scale=1.0 / 8, value_scaling_factor=10, device=gathered_on)
    heads = predictor.label_manager.num_segmentation_heads
    logits = torch.zeros((len(data), heads, *data.shape[2:]), dtype=torch.half, device=gathered_on)
    total = torch.zeros(data.shape[2:], dtype=torch.half, device=gathered_on)
    data, predictor.network = data.to(gathered_on), predictor.network.to(device).eval()
    mixed = torch.autocast(device.type) if device.type == "cuda" else contextlib.nullcontext()
    with mixed:
        for tile in predictor._internal_get_sliding_window_slicers(data.shape[2:]):
            of_all = (slice(None), *tile)
            patches = data[of_all].contiguous().to(device)
            predicted = predictor._internal_maybe_mirror_and_predict(patches).to(gathered_on)
            logits[of_all] += predicted * weights
            total[tile[1:]] += weights
    logits /= total
    if torch.isinf(logits).any():
        raise RuntimeError("the logits are too large for half precision, as for nnU-Net's own predictor")
    inner = (slice(None), slice(None), *unpadded[2:])
    return logits[inner]


def _at_original_size(
    predictor: nnUNetPredictor, logits: torch.Tensor, properties: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    return convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.label_manager,
        properties,
        return_probabilities=True,
        num_threads_torch=torch.get_num_threads(),
    )
