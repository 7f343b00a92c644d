"""The trainer: nnU-Net's, with the plan's schedule, gates that are freed later, and checkpoints that are data."""

from __future__ import annotations

import errno
import functools
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, scratch_folder
from medt_pipeline.network import gate_parameters
from medt_pipeline.network.heads import PyramidHeads, SegmentationHeads
from medt_pipeline.network.synchronised_norm import synchronise
from medt_pipeline.planning.rules.schedule import Schedule
from medt_pipeline.training.acceleration import (
    choose_acceleration,
    compiled_or_plain,
    device_facts,
    forget_graphs,
    mixed_precision,
    record_graphs,
    set_precision,
)
from medt_pipeline.training.augmentation.cutmix import cut_and_mix
from medt_pipeline.training.augmentation.policy import (
    changed_in_space,
    insert_transforms,
    read_policy,
    transforms_of,
    without_changes,
)
from medt_pipeline.training.checkpoint import read_checkpoint
from medt_pipeline.training.group import Group
from medt_pipeline.training.logger import PlainLogger
from medt_pipeline.training.loss import GroupLoss
from medt_pipeline.training.progress import TrainingProgress
from medt_pipeline.training.schedule import ClockLR, TrainingClock
from medt_pipeline.training.seeding import seed_generators

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "AdamW": torch.optim.AdamW,
    "Adam": torch.optim.Adam,
    "SGD": functools.partial(torch.optim.SGD, momentum=0.99, nesterov=True),
}
"""By the plan's name; SGD with nnU-Net's momentum."""
ALL_FOLDS = 1000
"""Number of the fold "all" where random numbers are seeded."""
UNLIMITED_EPOCHS = 1_000_000
"""Epochs of a training that a time budget ends."""
ZOOM = (0.85, 1.25)
"""Range of zooms for which nnU-Net cuts patches large enough (`configure_rotation_dummyDA_…`)."""


class BudgetSpentError(Exception):
    """The time budget is spent: leaves nnU-Net's training loop, which has no other way out."""


class nnUNetTrainerMedT(nnUNetTrainer):
    """Trains what MedTPlans.json says: AdamW with warm-up, a schedule and an augmentation that fit the data.

    Nothing of nnU-Net's loop is copied; its hooks are extended. The arguments are nnU-Net's; `set_length` and
    `show_progress` refine a training before it starts.
    """

    is_ddp: bool
    network: nn.Module
    output_folder_base: str

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008  (nnU-Net's signature)
    ) -> None:
        # nnU-Net pops this key from the caller's dictionary and fails where it is missing.
        plans = {"continue_training": False, **plans}
        with warnings.catch_warnings():
            # It makes a scaler for CUDA devices whenever several processes train.
            warnings.filterwarnings("ignore", message=r".*GradScaler is enabled, but CUDA is not available")
            super().__init__(plans, configuration, fold, dataset_json, device)
        # In a group, nnU-Net takes the CUDA device with the number of the process, whatever it was told.
        self.device = device
        self.group = Group()
        self.acceleration = choose_acceleration(device_facts(device))
        self.grad_scaler = set_precision(self.acceleration, device)
        # The parent notes the arguments of its own __init__ by name; these are the ones a checkpoint needs.
        self.my_init_kwargs: dict[str, Any] = {
            "plans": plans,
            "configuration": configuration,
            "fold": fold,
            "dataset_json": dataset_json,
            "device": str(device),
        }
        self.logger: PlainLogger = PlainLogger(self.logger, writes=self.local_rank == 0)
        settings = self.configuration_manager.configuration.get("medt", {}).get("schedule")
        if settings is None:
            raise UserError(
                f"Configuration {configuration!r} of {plans['plans_name']} has no training schedule; "
                "plan again with medt_plan_and_preprocess."
            )
        self.schedule = Schedule(**settings)
        self.augmentation = read_policy(self.configuration_manager.configuration)
        self.initial_lr = self.schedule.learning_rate
        self.weight_decay = self.schedule.weight_decay
        self.num_iterations_per_epoch = self.schedule.iterations_per_epoch
        self.num_val_iterations_per_epoch = self.schedule.validation_iterations_per_epoch
        self.oversample_foreground_percent = self.schedule.foreground_oversampling
        self.save_every = 5
        arguments = self.configuration_manager.network_arch_init_kwargs
        self.enable_deep_supervision = bool(arguments.get("deep_supervision", False))
        warmup = self.schedule.warmup_epochs / self.schedule.epochs
        self.clock = TrainingClock(self.num_iterations_per_epoch, warmup, self.schedule.epochs)
        if self.group.size > 1:
            self.clock.now = lambda: self.group.now()
        self.set_length(self.schedule.epochs, None)
        self.progress: TrainingProgress | None = None
        self.seed = 0
        self.prediction_seconds: list[float] = []
        self._epoch_start: dict[str, Any] = {}
        self._has_stepped = False
        self._is_graphed = False

    def set_length(self, epochs: int | None, budget: float | None) -> None:
        """End after `epochs`, or after `budget` seconds of training, or after what comes first of both."""
        self.num_epochs = epochs if epochs is not None else UNLIMITED_EPOCHS
        self.clock.epochs, self.clock.budget = self.num_epochs, budget

    def show_progress(self, quiet: bool = False) -> None:
        """Show a progress bar while training."""
        self.progress = TrainingProgress(self.clock, f"fold {self.fold}", quiet)

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Make the planned network; its heads for deep supervision follow the plan, their use the argument."""
        network = get_network_from_plans(
            configuration_manager.network_arch_class_name,
            configuration_manager.network_arch_init_kwargs,
            configuration_manager.network_arch_init_kwargs_req_import,
            num_input_channels,
            num_output_channels,
            allow_init=True,
        )
        _use_deep_supervision(network, enable_deep_supervision)
        return network

    def initialize(self) -> None:
        """nnU-Net's, and the network in DistributedDataParallel on any device where several processes train.

        Raises:
            UserError: there are more processes than patches in a step.
        """
        if self.configuration_manager.batch_size < self.group.size:
            raise UserError(
                f"A step has {self.configuration_manager.batch_size} patches, which {self.group.size} devices cannot "
                f"share; take fewer devices, or raise batch_size in {self.plans_manager.plans_name}.json."
            )
        # nnU-Net's own way into a group knows one machine with CUDA devices only.
        together, self.is_ddp = self.is_ddp, False
        super().initialize()
        self.is_ddp = together
        if self.device.type == "cpu" and self.acceleration.precision != "float32":
            # Autocast takes a softmax in float32 on CUDA devices, but not on CPUs.
            self.network.register_forward_hook(_in_float32)
        if isinstance(self.network, OptimizedModule):
            self._try_compiled()
        if together:
            self._set_batch_size_and_oversample()
            # Gates are fixed at first: parameters that get no gradient, of which it must know.
            fixed = bool(gate_parameters(self.network)) and self.schedule.gates_fixed_epochs > 0
            devices = [self.device] if self.device.type == "cuda" else None
            network = synchronise(self.network, self.device)
            self.network = DistributedDataParallel(network, devices, find_unused_parameters=fixed)
        # Again: it depends on what was decided since.
        self.loss = self._build_loss()

    def _try_compiled(self) -> None:
        """Compile the network now, or go back to the plain one where that fails."""
        self.network = compiled_or_plain(self.network, self.plain_network(), self._example())
        if not isinstance(self.network, OptimizedModule):
            self.acceleration = self.acceleration.without("compiled")

    def _record_graphs(self) -> None:
        """Record the training step, once, or go on without where that fails."""
        if self.acceleration.graphed and not self._is_graphed:
            if self.progress is not None:
                self.progress.tell("preparing; a machine's first training compiles kernels for a minute")
            self.network.train()
            self._is_graphed = record_graphs(self.network, self._example())
            if not self._is_graphed:
                self.acceleration = self.acceleration.without("graphed")

    def _example(self) -> torch.Tensor:
        """A batch of zeros as a training step of this process takes it."""
        part = math.ceil(self.batch_size / self.group.size)
        patch_size = self.configuration_manager.patch_size
        return torch.zeros(part, self.num_input_channels, *patch_size, device=self.device)

    def _do_i_compile(self) -> bool:
        return self.acceleration.compiled

    def on_train_start(self) -> None:
        """nnU-Net's; the files that describe the model appear when they are complete, and the first process's count."""
        final = Path(self.output_folder_base)
        with scratch_folder(Path(self.output_folder), "start") as scratch:
            self.output_folder_base = str(scratch)
            super().on_train_start()
            self.output_folder_base = str(final)
            if self.group.is_first:
                for file in scratch.iterdir():
                    file.replace(final / file.name)

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """Switch the outputs of deep supervision on or off, whatever the network."""
        _use_deep_supervision(self.plain_network(), enabled and self.enable_deep_supervision)

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        if self.enable_deep_supervision and "strides" not in self.configuration_manager.network_arch_init_kwargs:
            heads = self.plain_network().get_submodule("heads")
            scales = heads.scales if isinstance(heads, (SegmentationHeads, PyramidHeads)) else 1
            return [[0.5**scale] * 2 for scale in range(scales)]
        return super()._get_deep_supervision_scales()

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(  # noqa: N802  (nnU-Net's name)
        self,
    ) -> tuple[tuple[float, float], bool, Any, tuple[int, ...]]:
        """Rotation and mirroring as the policy says, in training and, through checkpoints, at inference."""
        rotation, dummy_2d, initial_patch_size, mirror_axes = (
            super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        policy = self.augmentation
        if policy is None:
            return rotation, dummy_2d, initial_patch_size, mirror_axes
        if policy.rotation_deg is not None:
            limit = float(np.radians(policy.rotation_deg))
            rotation = (-limit, limit)
            patch_size = self.configuration_manager.patch_size
            initial_patch_size = get_patch_size(patch_size, rotation, rotation, rotation, ZOOM)
        # nnU-Net's predictor takes the maximum of the axes, so "none" must not be an empty tuple.
        self.inference_allowed_mirroring_axes = policy.mirror_axes or None
        return rotation, dummy_2d, initial_patch_size, policy.mirror_axes

    def get_training_transforms(self, *arguments: Any, **settings: Any) -> ComposeTransforms:
        """nnU-Net's training transforms with those of the policy among them.

        nnU-Net's is a static method, which cannot know the plan; it is called on the trainer only, so this one is not.
        """
        composed = super().get_training_transforms(*arguments, **settings)
        policy = self.augmentation
        if policy is None:
            return composed
        composed = changed_in_space(composed, policy) if policy.nnunet else without_changes(composed)
        return insert_transforms(composed, transforms_of(policy))

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, ClockLR]:
        """The planned optimizer over all parameters, the gates included, and the clock's learning rate."""
        make = OPTIMIZERS[self.schedule.optimizer]
        # All weights in one pass, which torch has for these devices; its SGD then fails where gates are freed later.
        fused = self.device.type in ("cpu", "cuda") and self.schedule.optimizer != "SGD"
        rates = {"lr": self.initial_lr, "weight_decay": self.weight_decay}
        optimizer = make(self.network.parameters(), **rates, fused=fused)
        falls = self.schedule.learning_rate_schedule == "poly"
        return optimizer, ClockLR(optimizer, self.initial_lr, self.clock, falls)

    def _build_loss(self) -> nn.Module:
        """nnU-Net's loss, or its cross-entropy alone."""
        loss = super()._build_loss()
        if self.schedule.loss == "ce":
            (loss.loss if isinstance(loss, DeepSupervisionWrapper) else loss).weight_dice = 0
        if self.is_ddp and isinstance(loss, DeepSupervisionWrapper):
            loss.loss = GroupLoss(loss.loss)
        return GroupLoss(loss) if self.is_ddp and not isinstance(loss, DeepSupervisionWrapper) else loss

    def on_train_epoch_start(self) -> None:
        """Free the gates once the schedule says so; by epoch, so that a resumed training does the same."""
        trainable = self.current_epoch >= self.schedule.gates_fixed_epochs
        for gates in gate_parameters(self.plain_network()):
            gates.requires_grad_(trainable)
        if trainable and not self.is_ddp:
            self._record_graphs()
        # So that a training that goes on at this epoch is the one that was never interrupted.
        fold = self.fold if isinstance(self.fold, int) else ALL_FOLDS
        seed_generators(self.seed, fold, self.current_epoch, self.local_rank)
        self._epoch_start = self._state()
        self.clock.iteration = self.current_epoch * self.num_iterations_per_epoch
        super().on_train_epoch_start()

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One step with the learning rate of the moment.

        Raises:
            BudgetSpentError: the time is up.
            KeyboardInterrupt: another process of the group was told to stop.
        """
        self.group.agree()
        # Kernels are compiled in the first step, which may take longer than a minute's training: it does not count.
        if self._has_stepped:
            self.clock.start()
        if self.clock.budget_is_spent():
            raise BudgetSpentError
        self.lr_scheduler.step()
        with mixed_precision(self.acceleration, self.device):
            result = super().train_step(cut_and_mix(batch, self.augmentation))
        self._has_stepped = True
        self.clock.iteration += 1
        if self.progress is not None:
            self.progress.after_step(float(result["loss"]), self.current_epoch)
        return result

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's, in the precision of the training."""
        with mixed_precision(self.acceleration, self.device):
            return super().validation_step(batch)

    def on_epoch_end(self) -> None:
        """Keep the pseudo Dice for the display, then nnU-Net's bookkeeping and checkpoints, and the curves."""
        if self.progress is not None:
            self.progress.dice = self.logger.get_value("ema_fg_dice", step=-1)
        super().on_epoch_end()
        self.logger.write_curves(self._foreground_names())

    def run_training(self) -> None:
        """Train to the end, to the end of the budget, or until interrupted.

        Raises:
            KeyboardInterrupt: after checkpoint_latest.pth was written, from which the training goes on.
        """
        try:
            super().run_training()
        except BudgetSpentError:
            self.logger.keep_epochs(self.current_epoch)
            self.on_train_end()
        except KeyboardInterrupt:
            self._save_interrupted()
            raise
        finally:
            # Validation, and the next fold's training, need the memory.
            forget_graphs(self.plain_network())
            if self.progress is not None:
                self.progress.close()
            self.logger.close()
        if self.group.is_first:
            self.logger.plot_progress_png(self.output_folder, force=True)

    def _state(self) -> dict[str, Any]:
        """A copy, in the machine's memory, of what training changes."""
        scaler = self.grad_scaler.state_dict() if self.grad_scaler is not None else None
        state = {"network": self.plain_network().state_dict(), "optimizer": self.optimizer.state_dict()}
        # A copy on the device itself would take memory that was planned for the step.
        copied = tree_map(lambda one: one.to("cpu", copy=True) if isinstance(one, torch.Tensor) else one, state)
        return {**copied, "scaler": scaler}

    def _save_interrupted(self) -> None:
        """Write a checkpoint that begins the unfinished epoch again, with the weights that it began with."""
        if not self._epoch_start:
            return
        self.plain_network().load_state_dict(self._epoch_start["network"])
        self.optimizer.load_state_dict(self._epoch_start["optimizer"])
        if self.grad_scaler is not None:
            self.grad_scaler.load_state_dict(self._epoch_start["scaler"])
        self.logger.keep_epochs(self.current_epoch)
        # The parent notes the epoch after the one that has just ended.
        self.current_epoch -= 1
        self.save_checkpoint(str(Path(self.output_folder) / "checkpoint_latest.pth"))
        self.current_epoch += 1

    def save_checkpoint(self, filename: str) -> None:
        """Write nnU-Net's checkpoint atomically, with the training time beside it; the first process of a group does.

        Raises:
            OSError: it cannot be written, for example because the disk is full.
        """
        if not self.group.is_first:
            return
        self.my_init_kwargs["medt_seconds"] = self.clock.elapsed()
        with atomic_path(Path(filename), durable=True) as temporary:
            try:
                super().save_checkpoint(str(temporary))
            except RuntimeError as error:
                # torch's writer of zip files reports a full disk as a failed check of its own.
                if "inline_container" in str(error):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), filename) from error
                raise

    def load_checkpoint(self, filename_or_checkpoint: str | dict[str, Any]) -> None:
        """Go on from a checkpoint; reading it runs no code.

        Raises:
            UserError: the file is broken, or was written by stock nnU-Net and holds more than data.
        """
        if not self.was_initialized:
            self.initialize()
        checkpoint = filename_or_checkpoint
        if not isinstance(checkpoint, dict):
            checkpoint = read_checkpoint(Path(checkpoint), self.device)
        self.plain_network().load_state_dict(checkpoint["network_weights"])
        self.optimizer.load_state_dict(checkpoint["optimizer_state"])
        if self.grad_scaler is not None and checkpoint["grad_scaler_state"] is not None:
            self.grad_scaler.load_state_dict(checkpoint["grad_scaler_state"])
        self.logger.load_checkpoint(checkpoint["logging"])
        self._best_ema = checkpoint["_best_ema"]
        self.current_epoch = checkpoint["current_epoch"]
        self.inference_allowed_mirroring_axes = checkpoint["inference_allowed_mirroring_axes"]
        self.clock.seconds = float(checkpoint["init_args"].get("medt_seconds", 0.0))
        self.logger.keep_epochs(self.current_epoch)

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Write to the log file only: the console shows the progress bar."""
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def plot_network_architecture(self) -> None:
        """Do nothing: nnU-Net's drawing needs a package that is no longer maintained."""

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Predict and score the held-out cases of this fold in this process (nnU-Net starts eight for it)."""
        self.predict_held_out(save_probabilities)
        self.score_held_out()

    def predict_held_out(self, save_probabilities: bool) -> None:
        """Predict the held-out cases of this fold; how long each took is in `prediction_seconds`.

        Raises:
            KeyboardInterrupt: another process of the group was told to stop.
        """
        from medt_pipeline.training.validation import predict_held_out

        self.set_deep_supervision_enabled(False)
        predict_held_out(self, save_probabilities)
        self.set_deep_supervision_enabled(True)

    def score_held_out(self) -> None:
        """Score the held-out cases of this fold, which are predicted."""
        from medt_pipeline.training.validation import score_held_out

        score_held_out(self)

    def _foreground_names(self) -> list[str]:
        """Names of what the pseudo Dice is computed of, in its order."""
        labels = {
            name: value for name, value in self.dataset_json["labels"].items() if name not in ("background", "ignore")
        }
        return list(labels) if self.label_manager.has_regions else sorted(labels, key=labels.__getitem__)

    def plain_network(self) -> nn.Module:
        """The network itself, which no other process needs to run along with."""
        network = self.network
        if isinstance(network, DistributedDataParallel):
            network = network.module
        return network._orig_mod if isinstance(network, OptimizedModule) else network


def _in_float32(_network: nn.Module, _inputs: Any, logits: Any) -> Any:
    return tree_map(torch.Tensor.float, logits)


def _use_deep_supervision(network: nn.Module, enabled: bool) -> None:
    # nnU-Net's networks keep the switch in their decoder.
    holder = network.get_submodule("decoder") if hasattr(network, "decoder") else network
    setattr(holder, "deep_supervision", enabled)  # noqa: B010  (a plain attribute, which nn.Module's types hide)
