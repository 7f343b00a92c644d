"""nnU-Net's logger: values that a checkpoint can hold as data, curves as files, a plot that does not cost a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.training.logging.nnunet_logger import MetaLogger

from medt_pipeline.training import tensorboard_sink
from medt_pipeline.training.curves import write_curves

SECONDS_BETWEEN_PLOTS = 60.0


class PlainLogger(MetaLogger):
    """Keeps plain Python numbers, which `torch.load(weights_only=True)` accepts; NumPy's scalars it does not.

    Args:
        logger: nnU-Net's logger, whose sinks are taken over (opening them twice would start a second W&B run).
        writes: whether this process writes files; of several that train together, one does.
    """

    def __init__(self, logger: MetaLogger, writes: bool = True) -> None:
        self.__dict__.update(logger.__dict__)
        self.writes = writes
        self._last_plot = time.monotonic()
        self._epoch_start = time.time(), time.monotonic()
        if writes and tensorboard_sink.is_available():
            self.loggers.append(tensorboard_sink.TensorBoardSink(Path(self.output_folder)))

    def log(self, key: str, value: Any, step: int) -> None:
        """Log `value` for epoch `step`; an epoch that is repeated after an interruption replaces its value.

        The end of an epoch is its start and what it took, whatever was done to the machine's clock meanwhile.
        """
        if key == "epoch_start_timestamps":
            self._epoch_start = value, time.monotonic()
        elif key == "epoch_end_timestamps":
            start, began = self._epoch_start
            value = start + time.monotonic() - began
        super().log(key, to_plain(value), step)

    def plot_progress_png(self, output_folder: str, force: bool = False) -> None:
        """Draw progress.png, at most once a minute unless `force`; nothing before the first epoch is over."""
        if not self.get_value("epoch_end_timestamps", None):
            return
        if force or time.monotonic() - self._last_plot > SECONDS_BETWEEN_PLOTS:
            super().plot_progress_png(output_folder)
            self._last_plot = time.monotonic()

    def write_curves(self, classes: Sequence[str]) -> None:
        """Write progress.csv with all epochs that are over; `classes` are the foreground's names."""
        if self.writes:
            write_curves(Path(self.output_folder), self.local_logger.my_fantastic_logging, classes)

    def close(self) -> None:
        """Close the files of curves that are still open."""
        for sink in self.loggers:
            if isinstance(sink, tensorboard_sink.TensorBoardSink):
                sink.close()

    def keep_epochs(self, count: int) -> None:
        """Forget what was logged for an epoch that did not end."""
        for values in self.local_logger.my_fantastic_logging.values():
            del values[count:]


def to_plain(value: Any) -> Any:
    """NumPy scalars and lists of them as Python numbers; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0 else value
