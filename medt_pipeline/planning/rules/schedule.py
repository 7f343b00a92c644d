"""Training length and learning rate, from the number of training cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.presets import Preset


@dataclass(frozen=True)
class Schedule:
    """What the trainer needs to know of time.

    Attributes:
        epochs: number of epochs.
        iterations_per_epoch: training steps an epoch.
        validation_iterations_per_epoch: validation batches an epoch, for the pseudo Dice shown while training.
        learning_rate: of AdamW after warm-up; then it falls to 0 by a polynomial.
        weight_decay: of AdamW.
        warmup_epochs: epochs over which the learning rate rises.
        gates_fixed_epochs: epochs before the gates are trained.
    """

    epochs: int
    iterations_per_epoch: int
    validation_iterations_per_epoch: int
    learning_rate: float
    weight_decay: float
    warmup_epochs: int
    gates_fixed_epochs: int


def choose_schedule(cases: int, batch_size: int, preset: Preset) -> Decision[Schedule]:
    """Size the training to a set of `cases` images: steps grow with the square root of the cases."""
    steps = preset.steps_for_100_cases * math.sqrt(cases / 100)
    steps = min(max(steps, preset.min_steps), preset.max_steps)
    iterations = max(math.ceil(steps / preset.epochs), 1)
    schedule = Schedule(
        epochs=preset.epochs,
        iterations_per_epoch=iterations,
        # About the cases of one fold, but never more than a tenth of the time that training takes.
        validation_iterations_per_epoch=max(min(math.ceil(cases / 5 / batch_size), iterations // 5), 1),
        learning_rate=preset.learning_rate,
        weight_decay=preset.weight_decay,
        warmup_epochs=preset.warmup_epochs,
        gates_fixed_epochs=preset.gates_fixed_epochs,
    )
    return Decision(
        "training length",
        schedule,
        "schedule.choose_schedule",
        f"{cases} cases get {preset.epochs * iterations} steps in {preset.epochs} epochs: more data, more steps, with "
        "the square root.",
        {"cases": cases, "steps_for_100_cases": preset.steps_for_100_cases},
    )
