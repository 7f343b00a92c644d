"""The planner: nnU-Net's, with the Medical Transformer and rules that explain themselves."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

from medt_pipeline.core.errors import UserError
from medt_pipeline.network.topology import Size, logo_topology
from medt_pipeline.planning.architectures import ARCHITECTURES, DEFAULT
from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.memory_model import TrainingMemory, estimate_training_memory
from medt_pipeline.planning.presets import DeviceKind, Preset, load_preset
from medt_pipeline.planning.rules.batch_size import MIN_BATCH_SIZE, choose_batch_size
from medt_pipeline.planning.rules.resolution import SIDE_STEP, Resolution, choose_resolution
from medt_pipeline.planning.rules.schedule import choose_schedule

PLANS_NAME = "MedTPlans"
OUT_OF_PLANE_SPACING = 999.0
"""nnU-Net's spacing of the missing third axis (NaturalImage2DIO)."""


class MedTPlanner(ExperimentPlanner):
    """Plans a 2D data set: MedT as the network, a patch that shows the whole image, a schedule sized to the data.

    The plans file stays one that stock nnU-Net reads. Under the key "medt" it holds what nnU-Net has no place for: the
    decisions with their reasons, and for each configuration the schedule.

    Args:
        dataset_name_or_id: as nnU-Net's.
        gpu_memory_target_in_gb: memory for training; None takes the preset's for the device.
        device_kind: "cpu" or "gpu": what the training will run on.
        preset: the numbers to start from.
        arguments: the other arguments of nnU-Net's planner.
    """

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float | None = None,
        device_kind: DeviceKind = "cpu",
        preset: Preset | None = None,
        **arguments: Any,
    ) -> None:
        self.preset = preset or load_preset("default")
        self.device_kind = device_kind
        self.memory_gb = gpu_memory_target_in_gb or self.preset.memory_gb[device_kind]
        self.decisions: list[Decision] = []
        self._fitting: dict[Size, int] = {}
        super().__init__(dataset_name_or_id, self.memory_gb, **{"plans_name": PLANS_NAME, **arguments})
        self._resolution: Resolution | None = None

    def restrict_to(self, cases: Mapping[str, Any]) -> None:
        """Plan for these cases only, files by name as nnU-Net lists them: the others cannot be used."""
        self.dataset = dict(cases)
        self.dataset_json["numTraining"] = len(cases)

    def determine_fullres_target_spacing(self) -> np.ndarray:
        """Spacing (z, y, x) at which images are trained: the original one times the reduction."""
        spacing = np.median(np.vstack(self.dataset_fingerprint["spacings"]), axis=0)
        return spacing * np.array([1.0, self.resolution.reduction, self.resolution.reduction])

    @property
    def resolution(self) -> Resolution:
        """Patch size and reduction; decided on first use."""
        if self._resolution is None:
            self._resolution = self._decide_resolution()
        return self._resolution

    def get_plans_for_configuration(
        self,
        spacing: np.ndarray,
        median_shape: np.ndarray,
        data_identifier: str,
        approximate_n_voxels_dataset: float,
        _cache: dict,
    ) -> dict[str, Any]:
        """One 2D configuration; arguments and result as in nnU-Net's planner."""
        patch_size = self.resolution.patch_size
        batch = self._decide_batch_size(patch_size, approximate_n_voxels_dataset)
        schedule = choose_schedule(self.dataset_json["numTraining"], batch.value, self.preset)
        self.decisions += [batch, schedule]
        image_function, image_arguments, label_function, label_arguments = self.determine_resampling()
        logits_function, logits_arguments = self.determine_segmentation_softmax_export_fn()
        normalization, within_mask = self.determine_normalization_scheme_and_whether_mask_is_used_for_norm()
        return {
            "data_identifier": data_identifier,
            "preprocessor_name": self.preprocessor_name,
            "batch_size": batch.value,
            "patch_size": list(patch_size),
            "median_image_size_in_voxels": list(median_shape),
            "spacing": list(spacing),
            "normalization_schemes": normalization,
            "use_mask_for_norm": within_mask,
            "resampling_fn_data": image_function.__name__,
            "resampling_fn_seg": label_function.__name__,
            "resampling_fn_data_kwargs": image_arguments,
            "resampling_fn_seg_kwargs": label_arguments,
            "resampling_fn_probabilities": logits_function.__name__,
            "resampling_fn_probabilities_kwargs": logits_arguments,
            "architecture": ARCHITECTURES[DEFAULT].plan(patch_size),
            "medt": {"schedule": asdict(schedule.value)},
        }

    def plan_experiment(self) -> dict[str, Any]:
        """Decide everything and write the plans file.

        Raises:
            UserError: the data set is not 2D.
        """
        self._require_2d()
        # nnU-Net prints whole configurations; ours are shown as a table of decisions.
        with contextlib.redirect_stdout(io.StringIO()):
            return super().plan_experiment()

    def save_plans(self, plans: dict[str, Any]) -> None:
        """Add the other architectures and the decisions, and write the plans file."""
        configurations = plans["configurations"]
        for name, architecture in ARCHITECTURES.items():
            if name != DEFAULT:
                configurations[f"2d{architecture.suffix}"] = {
                    "inherits_from": "2d",
                    "architecture": architecture.plan(self.resolution.patch_size),
                }
        plans["medt"] = {"decisions": [_as_record(decision) for decision in self.decisions]}
        super().save_plans(plans)

    def _decide_resolution(self) -> Resolution:
        sizes = np.vstack(self.dataset_fingerprint["shapes_after_crop"])[:, 1:]
        height, width = (float(side) for side in np.median(sizes, axis=0))
        pixels = self.preset.patch_pixels[self.device_kind]
        while True:
            decision = choose_resolution((height, width), pixels, self.preset.max_reduction)
            patch_size = decision.value.patch_size
            smallest = patch_size == (SIDE_STEP, SIDE_STEP)
            if _is_workable(patch_size) and (smallest or self._fitting_batch(patch_size) >= MIN_BATCH_SIZE):
                self.decisions.append(decision)
                return decision.value
            if pixels < SIDE_STEP**2:
                raise UserError(
                    f"No patch of at least {SIDE_STEP} × {SIDE_STEP} pixels fits into {self.memory_gb} GB; "
                    "give more memory with --memory."
                )
            pixels = int(pixels * 0.9)

    def _decide_batch_size(self, patch_size: Size, dataset_pixels: float) -> Decision[int]:
        return choose_batch_size(
            self.preset.batch_size,
            patch_size[0] * patch_size[1],
            dataset_pixels,
            self.preset.max_share_of_pixels_per_step,
            self._fitting_batch(patch_size),
        )

    def _fitting_batch(self, patch_size: Size) -> int:
        """The largest batch that trains within the memory target; 0 if no patch does."""
        if patch_size not in self._fitting:
            memory = self._estimate_memory(patch_size, MIN_BATCH_SIZE)
            self._fitting[patch_size] = memory.largest_batch(self.memory_gb * 1e9)
        return self._fitting[patch_size]

    def _estimate_memory(self, patch_size: Size, batch_size: int) -> TrainingMemory:
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

        plan = ARCHITECTURES[DEFAULT].plan(patch_size)
        channels, classes = len(self.dataset_json["channel_names"]), len(self.dataset_json["labels"])

        def build() -> Any:
            return get_network_from_plans(
                plan["network_class_name"], plan["arch_kwargs"], plan["_kw_requires_import"], channels, classes
            )

        return estimate_training_memory(build, channels, patch_size, batch_size)

    def _require_2d(self) -> None:
        depths = {int(shape[0]) for shape in self.dataset_fingerprint["shapes_after_crop"]}
        if depths != {1}:
            raise UserError(f"{self.dataset_name} holds volumes; this pipeline segments 2D images only.")


def _is_workable(patch_size: Size) -> bool:
    try:
        logo_topology(patch_size)
    except UserError:
        return False
    return True


def _as_record(decision: Decision) -> dict[str, Any]:
    record = decision.record()
    if hasattr(record["value"], "__dataclass_fields__"):
        record["value"] = asdict(record["value"])
    return record
