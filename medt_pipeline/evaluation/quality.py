"""How good a mask is where the truth is unknown: the Dice that its probabilities expect, calibrated on known cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEAST_CASES = 10
"""Fewer cases calibrate nothing."""


@dataclass(frozen=True)
class Quality:
    """From the expected Dice to an estimate of the true one, and how well that did on cases that it was not fitted to.

    Attributes:
        slope: of the estimate over the expected Dice.
        offset: of the estimate at an expected Dice of 0.
        correlation: of estimates and true Dice over images, Pearson's.
        rank_correlation: Spearman's: whether the worst masks are found.
        error: mean absolute difference of both.
        images: by which it was fitted.
    """

    slope: float
    offset: float
    correlation: float
    rank_correlation: float
    error: float
    images: int

    def estimate(self, expected: float) -> float:
        """Estimated Dice, 0 to 1; NaN for NaN."""
        return float(np.clip(self.slope * expected + self.offset, 0, 1))


def expected_dice(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Dice of a mask if its probabilities are right, in the mean over the classes that it shows; NaN if it shows none.

    With p the probabilities of a class and m its mask, 2 Σ p m / (Σ p + Σ m), the expected overlap over the expected
    sum of both areas.

    Args:
        probabilities: (classes, H, W).
        labels: (H, W) mask.
    """
    found = []
    for label in np.unique(labels[labels > 0]):
        mask, p = labels == label, probabilities[label]
        found.append(2 * float(p[mask].sum()) / (float(p.sum()) + int(mask.sum())))
    return float(np.mean(found)) if found else float("nan")


def calibrate(expected: Sequence[float], true: Sequence[float], folds: Sequence[int]) -> Quality | None:
    """Fit the estimate by least squares, and judge it on each fold by a fit on the others.

    Images without an expected or a true Dice are left out; fewer than `LEAST_CASES` give None, as do equal numbers.
    """
    x, y, of = (np.asarray(values, float) for values in (expected, true, folds))
    defined = ~(np.isnan(x) | np.isnan(y))
    x, y, of = x[defined], y[defined], of[defined]
    if len(x) < LEAST_CASES or np.ptp(x) < 1e-6 or np.ptp(y) < 1e-6:
        return None
    held_out = np.empty(len(x))
    for fold in np.unique(of):
        others = of != fold
        slope, offset = _fit(x[others], y[others])
        held_out[~others] = np.clip(slope * x[~others] + offset, 0, 1)
    slope, offset = _fit(x, y)
    constant = np.ptp(held_out) < 1e-12
    return Quality(
        slope,
        offset,
        float("nan") if constant else float(stats.pearsonr(held_out, y).statistic),
        float("nan") if constant else float(stats.spearmanr(held_out, y).statistic),
        float(np.abs(held_out - y).mean()),
        len(x),
    )


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset by least squares; the mean where `x` does not vary."""
    if len(x) < 2 or np.ptp(x) < 1e-6:
        return 0.0, float(y.mean()) if len(y) else 0.0
    fit = stats.linregress(x, y)
    return float(fit.slope), float(fit.intercept)
