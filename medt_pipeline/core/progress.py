"""Progress with time left, on a terminal as a bar, in a log file as a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SECONDS_BETWEEN_LOG_LINES = 20.0


def refresh_interval() -> float:
    """Seconds between two updates of a progress bar: short on a terminal, long where a file would fill up."""
    return 0.2 if sys.stderr.isatty() else SECONDS_BETWEEN_LOG_LINES


def progress(
    items: Iterable[Item], description: str, total: int | None, unit: str, quiet: bool = False
) -> Iterable[Item]:
    """Pass `items` through and show on standard error how many of `total` have passed, unless `quiet`.

    Args:
        total: None where it is not known.
    """
    return tqdm(items, desc=description, total=total, unit=unit, disable=quiet, mininterval=refresh_interval())
