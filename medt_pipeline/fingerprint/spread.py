"""How a number spreads over cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """A number over the cases that have it.

    Attributes:
        cases: how many have it.
        p10: tenth percentile.
        median: fiftieth.
        p90: ninetieth.
    """

    cases: int
    p10: float
    median: float
    p90: float


def spread_of(values: Sequence[float] | np.ndarray) -> Spread:
    """Spread of at least one value."""
    return Spread(len(values), *(float(value) for value in np.percentile(values, (10, 50, 90))))


def median_of(values: Iterable[float | None]) -> float | None:
    """Median of the values that are not None; None where all are."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def share_of(flags: Iterable[bool]) -> float:
    """Share of the flags that are true, 0 to 1; 0 where there are none."""
    known = list(flags)
    return sum(known) / len(known) if known else 0.0
