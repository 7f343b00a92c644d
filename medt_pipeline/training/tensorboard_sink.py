"""Learning curves as TensorBoard's event files, for those who have the package `tensorboard`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""Name of the folder in that of the fold; `tensorboard --logdir` finds it from any folder above."""


def is_available() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec("tensorboard") is not None


class TensorBoardSink:
    """What nnU-Net's `MetaLogger` passes on, as scalars under the logger's own names, and the seconds of each epoch.

    Args:
        folder: of the fold; nothing is written there before the first value.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._writer: SummaryWriter | None = None
        self._epoch_start: float | None = None

    def update_config(self, config: dict[str, Any]) -> None:
        """Do nothing: medt_run.json holds the facts of the run."""

    def log_summary(self, key: str, value: Any) -> None:
        """Do nothing: the scores of a fold lie in its folder `validation`."""

    def log(self, key: str, value: float, step: int) -> None:
        """Add one value of epoch `step`; when the epoch is over, what was added so far is on disk."""
        if key == "epoch_start_timestamps":
            self._epoch_start = value
        elif key != "epoch_end_timestamps":
            self._open(step).add_scalar(key, value, step)
        elif self._epoch_start is not None:
            writer = self._open(step)
            writer.add_scalar("epoch_seconds", value - self._epoch_start, step)
            writer.flush()

    def close(self) -> None:
        """Close the file; the next value opens another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, step: int) -> SummaryWriter:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # TensorBoard forgets what an interrupted training wrote of this epoch and of later ones.
            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        return self._writer
