"""Training length and learning rate, from the number of training cases."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.presets import LearningRateSchedule, Loss, Optimizer, Preset, limits_of
from medt_pipeline.planning.rules.foreground_oversampling import OF_NNUNET
from medt_pipeline.planning.schema import within


@dataclass(frozen=True)
class Schedule:
    """What the trainer needs to know of time.

    Attributes:
        epochs: number of epochs.
        iterations_per_epoch: training steps an epoch.
        validation_iterations_per_epoch: validation batches an epoch, for the pseudo Dice shown while training.
        learning_rate: of the optimizer after warm-up.
        weight_decay: of the optimizer.
        warmup_epochs: epochs over which the learning rate rises.
        gates_fixed_epochs: epochs before the gates are trained.
        optimizer: "SGD" has nnU-Net's Nesterov momentum.
        loss: "dice_ce" is nnU-Net's, "ce" its cross-entropy alone.
        learning_rate_schedule: "poly" falls to 0 by nnU-Net's polynomial, "constant" stays after the warm-up.
        foreground_oversampling: share of a batch whose patches must show a class, 0 to 1.
    """

    epochs: int = field(metadata=limits_of("epochs"))
    iterations_per_epoch: int = field(metadata=within(1))
    validation_iterations_per_epoch: int = field(metadata=within(1))
    learning_rate: float = field(metadata=limits_of("learning_rate"))
    weight_decay: float = field(metadata=limits_of("weight_decay"))
    warmup_epochs: int = field(metadata=limits_of("warmup_epochs"))
    gates_fixed_epochs: int = field(metadata=limits_of("gates_fixed_epochs"))
    optimizer: Optimizer = "AdamW"
    loss: Loss = "dice_ce"
    learning_rate_schedule: LearningRateSchedule = "poly"
    foreground_oversampling: float = field(default=OF_NNUNET, metadata=limits_of("foreground_oversampling"))


def choose_schedule(
    cases: int,
    batch_size: int,
    preset: Preset,
    iterations_per_epoch: int | None = None,
    foreground_oversampling: float = OF_NNUNET,
) -> Decision[Schedule]:
    """Size the training to a set of `cases` images: steps grow with the square root of the cases.

    A preset with `passes_over_data` sees every case so often instead; `iterations_per_epoch` is what a user set;
    `foreground_oversampling` is handed on.
    """
    steps = preset.steps_for_100_cases * math.sqrt(cases / 100)
    steps = min(max(steps, preset.min_steps), preset.max_steps)
    why = "more data, more steps, with the square root."
    if preset.passes_over_data is not None:
        steps = preset.passes_over_data * cases / batch_size
        why = f"the preset wants {preset.passes_over_data:g} passes over the data."
    iterations = max(math.ceil(steps / preset.epochs), 1)
    if iterations_per_epoch is not None:
        iterations, why = iterations_per_epoch, "as it was set."
    schedule = Schedule(
        epochs=preset.epochs,
        iterations_per_epoch=iterations,
        # About the cases of one fold, but never more than a tenth of the time that training takes.
        validation_iterations_per_epoch=max(min(math.ceil(cases / 5 / batch_size), iterations // 5), 1),
        learning_rate=preset.learning_rate,
        weight_decay=preset.weight_decay,
        warmup_epochs=preset.warmup_epochs,
        gates_fixed_epochs=preset.gates_fixed_epochs,
        optimizer=preset.optimizer,
        loss=preset.loss,
        learning_rate_schedule=preset.schedule,
        foreground_oversampling=foreground_oversampling,
    )
    return Decision(
        "training length",
        schedule,
        "schedule.choose_schedule",
        f"{cases} cases get {preset.epochs * iterations} steps in {preset.epochs} epochs: {why}",
        {"cases": cases, "steps_for_100_cases": preset.steps_for_100_cases},
    )
