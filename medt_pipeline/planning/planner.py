"""The planner: nnU-Net's, with the Medical Transformer and rules that explain themselves."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.paths import nnUNet_preprocessed

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, read_json, write_json
from medt_pipeline.core.machine import memory_gb
from medt_pipeline.fingerprint.set_objects import ClassSummary
from medt_pipeline.fingerprint.summary import Summary
from medt_pipeline.network.topology import Size, logo_topology
from medt_pipeline.planning.architectures import ARCHITECTURES, UNETS, NetworkOptions
from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.memory_model import TrainingMemory, estimate_planned_memory
from medt_pipeline.planning.overrides import WITH_GRID, Overrides
from medt_pipeline.planning.presets import ArchitectureName, DeviceKind, Preset, load_preset
from medt_pipeline.planning.rules.augmentation import AugmentationPolicy, choose_augmentation
from medt_pipeline.planning.rules.batch_size import MIN_BATCH_SIZE, choose_batch_size
from medt_pipeline.planning.rules.foreground_oversampling import OF_NNUNET, choose_foreground_oversampling
from medt_pipeline.planning.rules.loss import choose_batch_dice, choose_deep_supervision
from medt_pipeline.planning.rules.memory import choose_memory, choose_recomputation
from medt_pipeline.planning.rules.modality import Modality, choose_modality
from medt_pipeline.planning.rules.network import choose_network
from medt_pipeline.planning.rules.normalization import choose_normalization
from medt_pipeline.planning.rules.resolution import (
    SIDE_STEP,
    ObjectSize,
    Resolution,
    choose_antialiasing,
    choose_resolution,
    choose_whole_resolution,
    chosen_resolution,
    fixed_resolution,
)
from medt_pipeline.planning.rules.schedule import choose_schedule

PLANS_NAME = "MedTPlans"
Choice = TypeVar("Choice", Resolution, "Resolution | None")
Value = TypeVar("Value")


class MedTPlanner(ExperimentPlanner):
    """Plans a 2D data set: MedT as the network, a patch that shows the whole image, a schedule sized to the data.

    The plans file stays one that stock nnU-Net reads. Under the key "medt" it holds what nnU-Net has no place for: the
    decisions with their reasons, the pixel size of the images, and for each configuration the schedule.

    Args:
        dataset_name_or_id: as nnU-Net's.
        gpu_memory_target_in_gb: memory for training; None: a share of what the device has.
        device_kind: "cpu" or "gpu": what the training will run on.
        device_gb: memory of the device in GB; None: that of this machine.
        preset: the numbers to start from, what the user set of them included.
        summary: facts of our own fingerprint; None where only nnU-Net's is known, and then nnU-Net's rules hold for
            normalization and augmentation.
        overrides: what the user set in place of the rules.
        arguments: the other arguments of nnU-Net's planner.

    Attributes:
        steps: memory and work of a step of `MIN_BATCH_SIZE` patches, by the patch sizes that were considered.
    """

    plans_identifier: str

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float | None = None,
        device_kind: DeviceKind = "cpu",
        device_gb: float | None = None,
        preset: Preset | None = None,
        summary: Summary | None = None,
        overrides: Overrides | None = None,
        **arguments: Any,
    ) -> None:
        self.summary, self.overrides = summary, overrides or Overrides()
        self.objects = smallest_objects(summary.classes) if summary is not None else None
        self.preset = preset or load_preset("default")
        self.device_kind = device_kind
        memory = choose_memory(gpu_memory_target_in_gb, device_gb or memory_gb(), device_kind)
        self.memory_gb = memory.value
        self.decisions: list[Decision] = [memory]
        self._recomputed: dict[Size, Decision[bool]] = {}
        self._fitting: dict[Size, int] = {}
        self.steps: dict[Size, TrainingMemory] = {}
        self._modality: Modality | None = None
        self._schemes: list[str] | None = None
        self._augmentation: AugmentationPolicy | None = None
        super().__init__(dataset_name_or_id, self.memory_gb, **{"plans_name": PLANS_NAME, **arguments})
        self._resolution: Resolution | None = None
        self._architecture: ArchitectureName | None = None

    def restrict_to(self, cases: Mapping[str, Any]) -> None:
        """Plan for these cases only, files by name as nnU-Net lists them: the others cannot be used."""
        self.dataset = dict(cases)
        self.dataset_json["numTraining"] = len(cases)

    def determine_fullres_target_spacing(self) -> np.ndarray:
        """Spacing (z, y, x) at which the configuration 2d is trained: the original one times the reduction."""
        return self._spacing(self.resolution)

    @property
    def architecture(self) -> ArchitectureName:
        """Network of the configurations 2d and 2d_whole; decided on first use."""
        if self._architecture is None:
            wanted, cases = self.preset.architecture, self.dataset_json["numTraining"]
            decision = choose_network(cases, self.device_kind) if wanted is None else _set_by_user("network", wanted)
            self.decisions.append(decision)
            self._architecture = decision.value
        return self._architecture

    @property
    def resolution(self) -> Resolution:
        """Patch size and reduction of the configuration 2d; decided on first use."""
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
        """The configuration 2d; arguments and result as in nnU-Net's planner."""
        sizes = (spacing, median_shape, approximate_n_voxels_dataset)
        return self._plan_configuration("2d", self.resolution, data_identifier, *sizes)

    def _plan_configuration(
        self,
        name: str,
        resolution: Resolution,
        data_identifier: str,
        spacing: np.ndarray,
        median_shape: np.ndarray,
        dataset_pixels: float,
    ) -> dict[str, Any]:
        """One configuration of the plans file.

        Args:
            name: of the configuration, for its decisions.
            resolution: how it sees images.
            data_identifier: folder of its preprocessed arrays.
            spacing: (y, x) at which it is trained.
            median_shape: (height, width) of the median image at that spacing.
            dataset_pixels: pixels of all training images at that spacing.
        """
        batch = self._decide_batch_size(resolution.patch_size, dataset_pixels)
        oversampling = self._decide_oversampling(resolution)
        iterations = self.overrides.iterations_per_epoch
        cases = self.dataset_json["numTraining"]
        schedule = choose_schedule(cases, batch.value, self.preset, iterations, oversampling.value)
        supervision = self._decide_deep_supervision(resolution.patch_size)
        antialiasing = choose_antialiasing(resolution, self._modality, self.preset.fixed_patch_size is not None)
        decisions: list[Decision[Any]] = [antialiasing, batch, oversampling, supervision, schedule]
        if resolution.patch_size in self._recomputed:
            decisions.insert(2, self._recomputed[resolution.patch_size])
        self.decisions += [_of(name, one) for one in decisions]
        image_function, image_arguments, label_function, label_arguments = self.determine_resampling()
        logits_function, logits_arguments = self.determine_segmentation_softmax_export_fn()
        normalization, within_mask = self.determine_normalization_scheme_and_whether_mask_is_used_for_norm()
        return {
            "data_identifier": data_identifier,
            "preprocessor_name": self.preprocessor_name,
            "batch_size": batch.value,
            "patch_size": list(resolution.patch_size),
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
            "architecture": self._plan_network(
                self.architecture, resolution.patch_size, resolution.patch_size in self._recomputed
            ),
            "medt": {
                "schedule": asdict(schedule.value),
                **self._planned_augmentation(),
                **self._planned_size(),
                "antialiased": antialiasing.value,
            },
        }

    def _planned_size(self) -> dict[str, Any]:
        fixed = self.preset.fixed_patch_size
        return {} if fixed is None else {"fixed_size": list(fixed)}

    def determine_normalization_scheme_and_whether_mask_is_used_for_norm(self) -> tuple[list[str], list[bool]]:
        """Nnu-Net's class for each channel by our rule, and nnU-Net's word on whether zeros around the image count."""
        by_name, within_mask = super().determine_normalization_scheme_and_whether_mask_is_used_for_norm()
        return self._schemes or by_name, within_mask

    def plan_experiment(self) -> dict[str, Any]:
        """Decide everything and write the plans file.

        Raises:
            UserError: the data set is not 2D.
        """
        self._require_2d()
        if self.summary is not None:
            self._decide_by_content(self.summary)
        # nnU-Net prints whole configurations; ours are shown as a table of decisions.
        with contextlib.redirect_stdout(io.StringIO()):
            return super().plan_experiment()

    def save_plans(self, plans: dict[str, Any]) -> None:
        """Add the whole-image configuration, the other architectures and the decisions, and write the plans file."""
        configurations = plans["configurations"]
        configurations["2d"]["batch_dice"] = batch_dice = self._decide_batch_dice()
        patch_sizes = {"2d": self.resolution.patch_size}
        whole = self._decide_whole_resolution() if "2d_whole" in self.preset.configurations else None
        if whole is not None:
            patch_sizes["2d_whole"] = whole.patch_size
            configurations["2d_whole"] = {**self._plan_whole(whole), "batch_dice": batch_dice}
        for name, patch_size in patch_sizes.items():
            for key in self._others(patch_size):
                configurations[f"{name}{ARCHITECTURES[key].suffix}"] = {
                    "inherits_from": name,
                    "architecture": self._plan_network(key, patch_size, patch_size in self._recomputed),
                }
        size = self.summary.pixel_size if self.summary is not None else None
        plans["medt"] = {
            "decisions": [_as_record(decision) for decision in self.decisions],
            "pixel_size_um": None if size is None else [size.y_um, size.x_um],
        }
        self._forget_earlier(configurations)
        self._save_complete(plans)

    def _save_complete(self, plans: dict[str, Any]) -> None:
        """nnU-Net's writing, which keeps configurations of an earlier file, into a file that is complete or absent."""
        identifier = self.plans_identifier
        file = Path(nnUNet_preprocessed) / self.dataset_name / f"{identifier}.json"
        with atomic_path(file) as temporary:
            if file.exists():
                shutil.copyfile(file, temporary)
            self.plans_identifier = temporary.stem
            super().save_plans(plans)
            self.plans_identifier = identifier

    def _others(self, patch_size: Size) -> list[ArchitectureName]:
        """Networks that are planned beside the chosen one, for a patch that they can take."""
        fits = {key: key not in WITH_GRID or _is_workable(patch_size) for key in ARCHITECTURES}
        unets = "2d_unet" in self.preset.configurations
        wanted = {**dict.fromkeys(UNETS, unets), self.architecture: False}
        return [key for key, one in ARCHITECTURES.items() if one.suffix and fits[key] and wanted.get(key, True)]

    def _forget_earlier(self, configurations: Mapping[str, Any]) -> None:
        """Remove from an earlier plans file our configurations that are planned no more: nnU-Net would keep them."""
        file = Path(nnUNet_preprocessed) / self.dataset_name / f"{self.plans_identifier}.json"
        if not file.exists():
            return
        ours = {f"{name}{one.suffix}" for name in ("2d", "2d_whole") for one in ARCHITECTURES.values()}
        earlier = read_json(file)
        stale = ours & set(earlier["configurations"]) - set(configurations)
        if stale:
            earlier["configurations"] = {k: v for k, v in earlier["configurations"].items() if k not in stale}
            write_json(file, earlier)

    def _plan_whole(self, resolution: Resolution) -> dict[str, Any]:
        spacing = self._spacing(resolution)[1:]
        median_size = np.array(self._median_size())
        shape = np.array([round(side) for side in median_size / resolution.reduction])
        pixels = float(np.prod(shape) * self.dataset_json["numTraining"])
        identifier = self.generate_data_identifier("2d_whole")
        return self._plan_configuration("2d_whole", resolution, identifier, spacing, shape, pixels)

    def _spacing(self, resolution: Resolution) -> np.ndarray:
        """(z, y, x), for the planner's axes as they are."""
        spacing = np.median(np.vstack(self.dataset_fingerprint["spacings"]), axis=0)
        return spacing * np.array([1.0, resolution.reduction, resolution.reduction * resolution.stretch])

    def _median_size(self) -> tuple[float, float]:
        sizes = np.vstack(self.dataset_fingerprint["shapes_after_crop"])[:, 1:]
        height, width = (float(side) for side in np.median(sizes, axis=0))
        return height, width

    def _decide_resolution(self) -> Resolution:
        fixed, wanted = self.preset.fixed_patch_size, self.overrides
        if fixed is not None:
            return self._noted(fixed_resolution(self._median_size(), fixed))
        if wanted.patch_size is None and wanted.reduction is None:
            return self._noted(self._within_memory(self._choose_resolution))
        planned = self._choose_resolution(self.preset.patch_pixels[self.device_kind]).value
        return self._noted(chosen_resolution(self._median_size(), wanted.patch_size, wanted.reduction, planned))

    def _choose_resolution(self, pixels: int) -> Decision[Resolution]:
        return choose_resolution(self._median_size(), pixels, self.preset.max_reduction, self.objects)

    def _noted(self, decision: Decision[Value]) -> Value:
        self.decisions.append(decision)
        return decision.value

    def _decide_whole_resolution(self) -> Resolution | None:
        return self._noted(
            self._within_memory(
                lambda pixels: choose_whole_resolution(
                    self._median_size(), pixels, self.preset.max_reduction, self.resolution, self.objects
                )
            )
        )

    def _within_memory(self, choose: Callable[[int], Decision[Choice]]) -> Decision[Choice]:
        """What `choose` says for the most pixels a patch whose patch trains within the memory.

        Raises:
            UserError: not even the smallest patch does.
        """
        pixels = self.preset.patch_pixels[self.device_kind]
        while True:
            decision = choose(pixels)
            if decision.value is None or self._is_trainable(decision.value.patch_size):
                return decision
            if pixels < SIDE_STEP**2:
                raise UserError(
                    f"No patch of at least {SIDE_STEP} × {SIDE_STEP} pixels fits into {self.memory_gb} GB; "
                    "give more memory with --memory."
                )
            pixels = int(pixels * 0.9)

    def _is_trainable(self, patch_size: Size) -> bool:
        workable = self.architecture not in WITH_GRID or _is_workable(patch_size)
        return workable and self._fitting_batch(patch_size) >= MIN_BATCH_SIZE

    def _decide_by_content(self, summary: Summary) -> None:
        """Modality, normalization and augmentation: what images look like, how levels are scaled, how they vary."""
        given = self.overrides.modality
        modality = choose_modality(summary) if given is None else _set_by_user("modality", given)
        self._noted(modality)
        self._modality = modality.value
        schemes = self.overrides.normalization
        if schemes is None:
            self._schemes = self._noted(choose_normalization(summary, modality.value))
        else:
            self._schemes = list(self._noted(_set_by_user("normalization", _for_channels(schemes, summary.channels))))
        self._augmentation = self._noted(self._choose_augmentation(summary, modality.value))

    def _choose_augmentation(self, summary: Summary, modality: Modality) -> Decision[AugmentationPolicy | None]:
        wanted, axes = self.preset.augmentation, self.overrides.mirror_axes
        decision: Decision[AugmentationPolicy | None]
        if wanted == "nnunet":
            decision = _set_by_user("augmentation", None if axes is None else AugmentationPolicy())
        elif wanted == "flips_horizontal":
            decision = _set_by_user("augmentation", AugmentationPolicy(nnunet=False, mirror_axes=(1,)))
        else:
            chosen = choose_augmentation(modality, summary.stain, summary.ultrasound, summary.cases)
            if modality == "histology" and self._schemes != ["RGBTo01Normalization"] * 3:
                # Stain is jittered in optical density, which these levels no longer have.
                reason = f"{chosen.reason} Without RGBTo01Normalization there is no stain jitter."
                chosen = replace(chosen, value=replace(chosen.value, stain_probability=0.0), reason=reason)
            decision = cast("Decision[AugmentationPolicy | None]", chosen)
        if axes is not None and decision.value is not None:
            decision = replace(decision, value=replace(decision.value, mirror_axes=axes))
        return decision

    def _planned_augmentation(self) -> dict[str, Any]:
        return {} if self._augmentation is None else {"augmentation": asdict(self._augmentation)}

    def _plan_network(self, architecture: ArchitectureName, patch_size: Size, recompute: bool) -> dict[str, Any]:
        supervision = self._decide_deep_supervision(patch_size).value
        options = NetworkOptions(self.preset.form, supervision, recompute)
        return ARCHITECTURES[architecture].plan(patch_size, options)

    def _decide_deep_supervision(self, patch_size: Size) -> Decision[bool]:
        wanted = self.preset.deep_supervision
        return choose_deep_supervision(patch_size) if wanted is None else _set_by_user("deep supervision", wanted)

    def _decide_oversampling(self, resolution: Resolution) -> Decision[float]:
        wanted = self.preset.foreground_oversampling
        if wanted is not None or self.summary is None:
            return _set_by_user("foreground oversampling", OF_NNUNET if wanted is None else wanted)
        return choose_foreground_oversampling(resolution, self.summary.sizes, list(self.summary.classes.values()))

    def _decide_batch_dice(self) -> bool:
        wanted = self.preset.batch_dice
        if wanted is not None or self.summary is None:
            return self._noted(_set_by_user("batch Dice", True if wanted is None else wanted))
        return self._noted(choose_batch_dice(list(self.summary.classes.values()), self.summary.empty_masks))

    def _decide_batch_size(self, patch_size: Size, dataset_pixels: float) -> Decision[int]:
        fitting, wanted = self._fitting_batch(patch_size), self.overrides.batch_size
        if wanted is None:
            share = self.preset.max_share_of_pixels_per_step
            pixels = patch_size[0] * patch_size[1]
            return choose_batch_size(self.preset.batch_size, pixels, dataset_pixels, share, fitting)
        if wanted > fitting:
            raise UserError(
                f"`batch_size` {wanted} breaks the rule batch_size.fits_memory: {self.memory_gb} GB train at most "
                f"{fitting} patches of {patch_size[0]} × {patch_size[1]}; give more memory with --memory or set less."
            )
        return _set_by_user("batch size", wanted)

    def _fitting_batch(self, patch_size: Size) -> int:
        """The largest batch that trains within the memory target; 0 if no patch does.

        Where keeping all that the network computes leaves room for fewer than two patches, it is computed again in the
        backward.
        """
        if patch_size not in self._fitting:
            kept = fitting = self._largest_batch(patch_size, recompute=False)
            if kept < MIN_BATCH_SIZE and self.architecture not in UNETS:
                fitting = self._largest_batch(patch_size, recompute=True)
                self._recomputed[patch_size] = choose_recomputation(kept, fitting, MIN_BATCH_SIZE, self.memory_gb)
            self._fitting[patch_size] = fitting
        return self._fitting[patch_size]

    def _largest_batch(self, patch_size: Size, recompute: bool) -> int:
        plan = self._plan_network(self.architecture, patch_size, recompute)
        memory = estimate_planned_memory(plan, self.dataset_json, patch_size, MIN_BATCH_SIZE, self.device_kind)
        self.steps[patch_size] = memory
        return memory.largest_batch(self.memory_gb * 1e9)

    def _require_2d(self) -> None:
        depths = {int(shape[0]) for shape in self.dataset_fingerprint["shapes_after_crop"]}
        if depths != {1}:
            raise UserError(f"{self.dataset_name} holds volumes; this pipeline segments 2D images only.")


def smallest_objects(classes: Mapping[str, ClassSummary]) -> ObjectSize | None:
    """The class whose objects are smallest; None where no class has any."""
    sizes = [
        ObjectSize(one.name, one.diameter_px.p25, one.diameter_px.p50)
        for one in classes.values()
        if one.diameter_px is not None
    ]
    return min(sizes, key=lambda size: size.p25, default=None)


def _set_by_user(name: str, value: Value) -> Decision[Value]:
    return Decision(name, value, "preset or --set", f"As it was set: {value}.", {})


def _for_channels(schemes: tuple[str, ...], channels: int) -> list[str]:
    """One class a channel, from one for all or one for each.

    Raises:
        UserError: neither.
    """
    if len(schemes) not in (1, channels):
        raise UserError(f"`normalization` must name one class or {channels}, one a channel; got {len(schemes)}.")
    return list(schemes) * (channels // len(schemes))


def _of(configuration: str, decision: Decision[Any]) -> Decision[Any]:
    """The decision, named after its configuration unless that is the main one."""
    return decision if configuration == "2d" else replace(decision, name=f"{decision.name} ({configuration})")


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
