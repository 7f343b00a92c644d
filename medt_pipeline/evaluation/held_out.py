"""Predictions of cases that the model has not seen, read when they are needed and not kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")


@dataclass(frozen=True)
class HeldOutCase:
    """A prediction and the truth.

    Attributes:
        reference: (H, W) label map.
        prediction: (H, W) label map; None: the most probable class.
        probabilities: (classes, H, W), one plane a label value from 0 on; None where they were not kept.
        reference_objects: (H, W) instance map; None: connected components of the reference.
    """

    reference: np.ndarray
    prediction: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    reference_objects: np.ndarray | None = None

    @property
    def label_map(self) -> np.ndarray:
        """The prediction as a label map.

        Raises:
            ValueError: there are neither labels nor probabilities.
        """
        if self.prediction is not None:
            return self.prediction
        if self.probabilities is None:
            raise ValueError("a held-out case needs a label map or probabilities")
        return self.probabilities.argmax(0)


@dataclass(frozen=True)
class CaseSource:
    """Where a held-out case comes from.

    Attributes:
        group: its patient.
        load: reads it; is called once a pass over the cases, from several threads for several cases.
    """

    group: str
    load: Callable[[], HeldOutCase]


def over_cases(sources: Sequence[CaseSource], measure: Callable[[HeldOutCase], Result], threads: int) -> list[Result]:
    """What `measure` says of each case, in their order; at most `threads` cases are in memory at once."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda source: measure(source.load()), sources))
