"""Learning curves in `progress.csv`, one line an epoch, beside nnU-Net's progress.png."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import write_text

CURVES_FILE = "progress.csv"
CLASS_PREFIX = "pseudo_dice_of_"
COLUMNS = {
    "learning_rate": "lrs",
    "training_loss": "train_losses",
    "validation_loss": "val_losses",
    "pseudo_dice": "mean_fg_dice",
    "pseudo_dice_moving_average": "ema_fg_dice",
}
"""Columns of one number an epoch, with the names of nnU-Net's logger."""
DIGITS = 6


def write_curves(folder: Path, logged: Mapping[str, Sequence[Any]], classes: Sequence[str]) -> None:
    """Write `folder`/progress.csv anew, atomically, with a line for each epoch that is over.

    The whole file comes from what is logged, which a checkpoint holds too: an epoch that is trained again after an
    interruption replaces its line.

    Args:
        folder: of the fold.
        logged: lists of nnU-Net's logger, one entry an epoch; the epoch that is running may have some already.
        classes: names of the values in "dice_per_class_or_region".
    """
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["epoch", "seconds", *COLUMNS, *(f"{CLASS_PREFIX}{name}" for name in classes)])
    for epoch in range(min(map(len, logged.values()))):
        seconds = logged["epoch_end_timestamps"][epoch] - logged["epoch_start_timestamps"][epoch]
        numbers = [seconds, *(logged[key][epoch] for key in COLUMNS.values())]
        table.writerow([epoch, *map(_cell, [*numbers, *logged["dice_per_class_or_region"][epoch]])])
    write_text(folder / CURVES_FILE, buffer.getvalue())


def read_curves(file: Path) -> dict[str, list[float]]:
    """Columns of a progress.csv by name, one number an epoch, NaN where a cell is empty; {} where there is no file.

    Raises:
        UserError: it is not what `write_curves` writes.
    """
    if not file.exists():
        return {}
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines, strict=True)
        numbers = [[float(cell) if cell else math.nan for cell in row] for row in rows]
        columns = {name: [row[index] for row in numbers] for index, name in enumerate(header)}
    except (ValueError, IndexError, csv.Error) as error:
        raise UserError(f"{file} is not a table of learning curves ({error}); delete it or restore it.") from None
    missing = {"epoch", "seconds", *COLUMNS} - columns.keys()
    if missing:
        raise UserError(f"{file} has no column {min(missing)!r}; delete it or restore it.")
    return columns


def _cell(value: float) -> str:
    return f"{value:.{DIGITS}g}" if math.isfinite(value) else ""
