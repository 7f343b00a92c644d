"""What a person sees while a fold trains."""

from __future__ import annotations

from tqdm import tqdm

from medt_pipeline.core.progress import refresh_interval
from medt_pipeline.training.schedule import TrainingClock


class TrainingProgress:
    """A bar with epoch, loss, pseudo Dice and time left.

    Args:
        clock: the clock of the training.
        description: what is trained.
        quiet: show nothing.
    """

    def __init__(self, clock: TrainingClock, description: str, quiet: bool = False) -> None:
        self.clock, self.quiet = clock, quiet
        self.loss: float | None = None
        self.dice: float | None = None
        self.bar = tqdm(
            total=100,
            desc=description,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {postfix}",
            disable=quiet,
            mininterval=refresh_interval(),
        )

    def after_step(self, loss: float, epoch: int) -> None:
        """Show the state after one training step."""
        self.loss = loss if self.loss is None else 0.95 * self.loss + 0.05 * loss
        self.bar.set_postfix_str(self.text(epoch), refresh=False)
        self.bar.update(100 * self.clock.progress() - self.bar.n)

    def tell(self, text: str) -> None:
        """Show a few words until the next step."""
        self.bar.set_postfix_str(text)

    def text(self, epoch: int) -> str:
        """Epoch, loss, pseudo Dice and time left in one line."""
        epochs = f"/{self.clock.epochs}" if self.clock.budget is None else ""
        parts = [f"epoch {epoch + 1}{epochs}"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.3f}")
        if self.dice is not None:
            parts.append(f"pseudo Dice {self.dice:.3f}")
        left = self.clock.seconds_left()
        if left is not None:
            parts.append(f"{format_seconds(left)} left")
        return ", ".join(parts)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self.bar.close()


def format_seconds(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
