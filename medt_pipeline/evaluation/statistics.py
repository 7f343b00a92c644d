"""How far a score could have come out otherwise: bootstrap intervals over groups (patients), alone and of differences.

Images of one patient resemble each other, so whole groups are drawn with replacement, as many as there are, and all
images of a drawn group come with it (the cluster bootstrap: Davison and Hinkley 1997, section 3.8). Intervals are
percentiles of the resampled scores. The draws follow from the seed and the number of groups alone, so that two models,
or two scores of one, meet the same patients in each resample: their differences are paired.

Intervals speak of the choice of these patients, not of that of the training patients or of the run. From few groups
they are too narrow, and from a single one there is none: everything resampled is NaN then.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0
LEAST_SPREAD = 0.1
"""Of the standard error as observed: what a resample's is taken for at least."""
_NUMBERS_AT_ONCE = 2**22
"""Weights that are drawn at once, which bounds the memory."""


class Interval(NamedTuple):
    """A confidence interval, NaN where it is undefined; arrays where several were asked for."""

    low: Any
    high: Any


class Difference(NamedTuple):
    """Between two models on the same images.

    Attributes:
        value: score of the first less that of the second.
        interval: of that difference.
        share_above: share of resamples in which the first is higher, ties counting half; NaN without an interval.
    """

    value: float
    interval: Interval
    share_above: float


def resampled_sums(
    columns: np.ndarray, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED
) -> np.ndarray:
    """Sums of each column over the images of each resample: (resamples, …).

    Args:
        columns: (n, …) numbers, one row an image.
        groups: name of the group of each of the n images.
    """
    columns = np.asarray(columns, float)
    members, index = np.unique(np.asarray(groups, str), return_inverse=True)
    of_groups = np.zeros((len(members), *columns.shape[1:]))
    np.add.at(of_groups, index, columns)
    flat = of_groups.reshape(len(members), -1)
    sums = np.concatenate([weights @ flat for weights in _weights(len(members), resamples, seed)])
    return sums.reshape(resamples, *columns.shape[1:])


def resampled_means(
    columns: np.ndarray, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED
) -> np.ndarray:
    """Means of each column over its defined values (not NaN) in each resample, as `resampled_sums`.

    Every image weighs the same, so a group of many weighs more. NaN in resamples without a defined value, and in all
    where fewer than two groups have one.
    """
    columns = np.asarray(columns, float)
    defined = ~np.isnan(columns)
    both = np.stack([np.where(defined, columns, 0.0), defined], axis=-1)
    sums, counts = np.moveaxis(resampled_sums(both, groups, resamples, seed), -1, 0)
    enough = _groups_with(defined, groups) > 1
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=(counts > 0) & enough)


def interval(resampled: np.ndarray, level: float = LEVEL) -> Interval:
    """Percentile interval of scores, (resamples, …), over the resamples in which they are defined."""
    with warnings.catch_warnings():
        # Where no resample has a value, NaN is the answer and no cause for a warning.
        warnings.simplefilter("ignore", RuntimeWarning)
        return Interval(*np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2], axis=0))


def difference(value: float, resampled: np.ndarray, level: float = LEVEL) -> Difference:
    """Describe a difference.

    Args:
        value: as observed.
        resampled: (resamples,), that of the two models' scores in each resample of the same groups and seed.
        level: of the interval.
    """
    defined = resampled[~np.isnan(resampled)]
    # Sums of the same numbers may differ in the last bit, which is no difference.
    share = float((np.sign(defined.round(12)) + 1).mean() / 2) if len(defined) else float("nan")
    return Difference(value, interval(resampled, level), share)


def paired_difference(
    first: np.ndarray, second: np.ndarray, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED
) -> Difference:
    """Difference of the means of two models' scores on the same images, each over its defined values.

    Args:
        first: (n,) scores of the first model, NaN where undefined.
        second: (n,) those of the second.
        groups: name of the group of each image.

    Example:
        >>> paired_difference(np.array([0.9, 0.8, 0.7]), np.array([0.8, 0.7, 0.6]), ["a", "b", "c"]).share_above
        1.0
    """
    both = np.stack([first, second], axis=1).astype(float)
    one, other = resampled_means(both, groups, resamples, seed).T
    means = [values[~np.isnan(values)] for values in both.T]
    value = float(means[0].mean() - means[1].mean()) if all(map(len, means)) else float("nan")
    return difference(value, one - other)


def lower_bounds(
    columns: np.ndarray, groups: Sequence[str], error: float, resamples: int = 10_000, seed: int = SEED
) -> np.ndarray:
    """Lower confidence bounds of the means of `columns`, (n, k) without NaN: (k,), each at the one-sided `error`.

    Studentised (bootstrap-t: Davison and Hinkley 1997, section 5.2): each resample's mean is measured in its own
    standard error. Percentiles, good enough to show an interval, err far too often at small errors and with few groups,
    where this bound keeps its promise or lies too low. NaN from a single group.
    """
    members, index = np.unique(np.asarray(groups, str), return_inverse=True)
    sums = np.zeros((len(members), columns.shape[1]))
    np.add.at(sums, index, columns)
    sizes = np.bincount(index).astype(float)[:, None]
    # What the standard error of a mean over groups of several sizes needs, so that it can be had for every resample.
    parts = np.stack([sums, sums**2, sums * sizes, sizes + 0 * sums, sizes**2 + 0 * sums])
    mean, spread = _mean_and_error(parts.sum(1), len(members))
    drawn = np.moveaxis(resampled_sums(np.moveaxis(parts, 0, 1), members.tolist(), resamples, seed), 1, 0)
    means, spreads = _mean_and_error(drawn, len(members))
    # A resample of groups that happen to be alike has next to no spread of its own, which says nothing.
    spreads = np.maximum(spreads, LEAST_SPREAD * spread)
    scaled = np.divide(means - mean, spreads, out=np.zeros(means.shape), where=spreads > 0)
    return mean - np.quantile(scaled, 1 - error, axis=0) * spread


def _mean_and_error(parts: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over images and its standard error, from sums over groups of s, s², s · n, n and n²: (5, …, k)."""
    total, squares, products, count, counts_squared = parts
    mean = total / count
    variance = np.maximum(squares - 2 * mean * products + mean**2 * counts_squared, 0.0)
    return mean, np.sqrt(variance * groups / max(1, groups - 1)) / count


def _groups_with(defined: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Number of groups with a defined value in each column of `defined`, (n, …) bool."""
    members, index = np.unique(np.asarray(groups, str), return_inverse=True)
    found = np.zeros((len(members), *defined.shape[1:]), bool)
    np.logical_or.at(found, index, defined)
    return found.sum(0)


def _weights(groups: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is in each resample, (some resamples, groups), in blocks that add up to all resamples."""
    rng = np.random.default_rng(seed)
    block = max(1, _NUMBERS_AT_ONCE // groups)
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        drawn = rng.integers(groups, size=(count, groups)) + groups * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * groups).reshape(count, groups).astype(float)
        yield weights if groups > 1 else np.full_like(weights, np.nan)
