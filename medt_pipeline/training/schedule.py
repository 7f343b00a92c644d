"""Learning rate and time: how far a training has come, and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch.optim import Optimizer

POLY_EXPONENT = 0.9
"""nnU-Net's exponent of the polynomial decay."""


def learning_rate(initial: float, progress: float, warmup: float) -> float:
    """Learning rate at `progress` (0 to 1 of the training) and `warmup` (0 to 1 of the warm-up, then 1)."""
    return initial * min(warmup, 1.0) * max(1.0 - progress, 0.0) ** POLY_EXPONENT


@dataclass
class TrainingClock:
    """Counts iterations and seconds of one training, over all sessions in which it ran.

    Attributes:
        iterations_per_epoch: training steps an epoch.
        warmup_share: share of the training that is warm-up; a share, so that a short time budget has its warm-up too.
        epochs: epochs after which the training ends.
        budget: seconds after which the training ends; None for no limit. With a budget the learning rate follows the
            time, so that it has come down when the time is up, whatever a step takes.
        seconds: training time of earlier sessions.
        iteration: training steps so far.
    """

    iterations_per_epoch: int
    warmup_share: float
    epochs: int
    budget: float | None = None
    seconds: float = 0.0
    iteration: int = 0
    now: Callable[[], float] = time.monotonic
    _started: float | None = field(default=None, repr=False)

    def start(self) -> None:
        """Begin to count seconds; once begun, calling it again changes nothing."""
        if self._started is None:
            self._started = self.now()

    def elapsed(self) -> float:
        """Seconds of training, earlier sessions included."""
        return self.seconds + (0.0 if self._started is None else self.now() - self._started)

    def progress(self) -> float:
        """Share of the training that is done, 0 to 1."""
        by_epochs = self.iteration / max(self.epochs * self.iterations_per_epoch, 1)
        by_time = 0.0 if self.budget is None else self.elapsed() / self.budget
        return min(max(by_epochs, by_time), 1.0)

    def warmup(self) -> float:
        """Share of the warm-up that is done, 0 to 1."""
        if not self.warmup_share:
            return 1.0
        # Never zero, or the first step would teach nothing.
        return min(max(self.progress() / self.warmup_share, 0.01), 1.0)

    def budget_is_spent(self) -> bool:
        """Whether the time is up."""
        return self.budget is not None and self.elapsed() >= self.budget

    def seconds_left(self) -> float | None:
        """Estimated seconds to the end; None before the first step."""
        done = self.progress()
        return None if done <= 0 else self.elapsed() * (1 - done) / done


class ClockLR:
    """Sets the learning rate of all parameter groups from a clock; `step` has the signature that nnU-Net calls.

    Args:
        optimizer: whose learning rate is set.
        initial: learning rate after warm-up.
        clock: the clock of the training.
        falls: whether it falls to 0 at the end; else it stays after the warm-up.
    """

    def __init__(self, optimizer: Optimizer, initial: float, clock: TrainingClock, falls: bool = True) -> None:
        self.optimizer, self.initial, self.clock, self.falls = optimizer, initial, clock, falls

    def step(self, epoch: int | None = None) -> None:
        """Set the learning rate for the next training step; `epoch` is not needed."""
        progress = self.clock.progress() if self.falls else 0.0
        rate = learning_rate(self.initial, progress, self.clock.warmup())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
