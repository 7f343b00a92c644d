"""Steps on the mask of one class: remove small objects, fill holes, keep the largest object, smooth the outline.

A mask is (H, W) bool. Objects are 8-connected, holes are 4-connected; what lies beyond the image is unknown and neither
erodes an object nor closes a hole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)

StepName = Literal["remove_small_objects", "fill_holes", "keep_largest", "open", "close"]


def remove_small_objects(mask: np.ndarray, min_area: float) -> np.ndarray:
    """`mask` without its objects of fewer than `min_area` pixels."""
    objects, _ = ndimage.label(mask, EIGHT_CONNECTED)
    keep = np.bincount(objects.ravel()) >= min_area
    keep[0] = False
    return keep[objects]


def fill_holes(mask: np.ndarray, max_area: float) -> np.ndarray:
    """`mask` with its holes of at most `max_area` pixels; background that reaches the image's border is no hole."""
    background, _ = ndimage.label(~mask)
    fill = np.bincount(background.ravel()) <= max_area
    border = (background[0], background[-1], background[:, 0], background[:, -1])
    fill[np.unique(np.concatenate(border))] = False
    fill[0] = True
    return fill[background]


def keep_largest(mask: np.ndarray) -> np.ndarray:
    """The largest object of `mask`, the first from the top on a tie; nothing where there is none."""
    objects, number = ndimage.label(mask, EIGHT_CONNECTED)
    if not number:
        return mask.copy()
    return objects == np.bincount(objects.ravel())[1:].argmax() + 1


def open_outline(mask: np.ndarray, radius: float) -> np.ndarray:
    """Opening of `mask` by a disc: what is thinner than 2 · `radius` pixels goes."""
    return _grown(~_grown(~mask, radius), radius)


def close_outline(mask: np.ndarray, radius: float) -> np.ndarray:
    """Closing of `mask` by a disc: gaps thinner than 2 · `radius` pixels are filled."""
    return ~open_outline(~mask, radius)


def _grown(mask: np.ndarray, radius: float) -> np.ndarray:
    """All pixels up to `radius` from `mask`, by distances: a large radius costs no more than a small one."""
    # Where there is nothing to be far from, SciPy's distances mean nothing.
    return ndimage.distance_transform_edt(~mask) <= radius if mask.any() else mask


@dataclass(frozen=True)
class StepRule:
    """What a step takes.

    Attributes:
        parameter: name of its only parameter, with the unit; "" for none.
        largest: largest value of the parameter that is believed; the smallest is anything above 0.
        apply: from mask and parameter to mask.
    """

    parameter: str
    largest: float
    apply: Callable[[np.ndarray, float], np.ndarray]


STEPS: dict[StepName, StepRule] = {
    "remove_small_objects": StepRule("min_area_px", 1e9, remove_small_objects),
    "fill_holes": StepRule("max_area_px", 1e9, fill_holes),
    "keep_largest": StepRule("", 0.0, lambda mask, _: keep_largest(mask)),
    "open": StepRule("radius_px", 1e3, open_outline),
    "close": StepRule("radius_px", 1e3, close_outline),
}
"""Every step by its name in files."""


@dataclass(frozen=True)
class Step:
    """One step with its parameter, in pixels or square pixels; 0 for a step without one.

    Raises:
        ValueError: there is no such step, or the parameter is out of range.
    """

    name: StepName
    amount: float = 0.0

    def __post_init__(self) -> None:
        rule = STEPS.get(self.name)
        if rule is None:
            raise ValueError(f"there is no step {self.name!r}; there are {', '.join(STEPS)}")
        if rule.parameter and not 0 < self.amount <= rule.largest:
            raise ValueError(
                f"{rule.parameter} of {self.name} must lie above 0 and up to {rule.largest:g}, got {self.amount}"
            )
        if not rule.parameter and self.amount:
            raise ValueError(f"{self.name} takes no parameter, got {self.amount}")

    def __call__(self, mask: np.ndarray) -> np.ndarray:
        """The mask after the step; `mask` itself is left alone."""
        return STEPS[self.name].apply(mask, self.amount)

    def __str__(self) -> str:
        parameter = STEPS[self.name].parameter
        return f"{self.name}({parameter}={self.amount:g})" if parameter else self.name
