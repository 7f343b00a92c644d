"""Which model, or which average of models, is best on cases that none of its members was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from medt_pipeline.evaluation.metrics import ratio
from medt_pipeline.evaluation.statistics import Difference, Interval, difference, interval, resampled_means

MOST_MEMBERS = 3
"""Models in an average, at most."""
WEIGHT_STEPS = 10
"""Learned weights are multiples of one over this."""
SURE = 0.9
"""Share of the resamples in which the best must beat a cheaper candidate; in less, they are level: the cheaper wins."""
SURE_OF_WEIGHTS = 0.95
"""The same for learned weights over equal ones, on cases by which they were not learned."""


@dataclass(frozen=True)
class Candidate:
    """A model, or a weighted average of the probabilities of several; the weights add up to 1."""

    members: tuple[str, ...]
    weights: tuple[float, ...]

    @property
    def name(self) -> str:
        """Such as "2d + 2d_unet", with the weights where they differ."""
        if len(set(self.weights)) == 1:
            return " + ".join(self.members)
        return " + ".join(f"{weight:g} {member}" for weight, member in zip(self.weights, self.members, strict=True))


@dataclass(frozen=True)
class Ranked:
    """A candidate with its mean Dice over images.

    Attributes:
        candidate: what was ranked.
        value: mean Dice, 0 to 1.
        interval: of the mean.
        behind_best: how much less than the best candidate's it is.
        cost: of its members together, in the unit of the costs given.
    """

    candidate: Candidate
    value: float
    interval: Interval
    behind_best: Difference
    cost: float


def candidates_of(names: Sequence[str]) -> list[Candidate]:
    """Every model, and every average of up to `MOST_MEMBERS` with equal weights."""
    groups = [group for size in range(1, MOST_MEMBERS + 1) for group in combinations(names, size)]
    return [Candidate(group, (1 / len(group),) * len(group)) for group in groups]


def weightings_of(candidate: Candidate) -> list[Candidate]:
    """The candidate, first, and the same members with every other weighting in which each counts."""
    found = [candidate]
    for cuts in combinations(range(1, WEIGHT_STEPS), len(candidate.members) - 1):
        edges = (0, *cuts, WEIGHT_STEPS)
        parts = [after - before for before, after in pairwise(edges)]
        if len(set(parts)) > 1:
            found.append(Candidate(candidate.members, tuple(part / WEIGHT_STEPS for part in parts)))
    return found


def average(probabilities: Mapping[str, np.ndarray], candidate: Candidate) -> np.ndarray:
    """Weighted mean of the members' probabilities, each (classes, …)."""
    first, *others = zip(candidate.members, candidate.weights, strict=True)
    total = probabilities[first[0]] * np.float32(first[1])
    for member, weight in others:
        total += probabilities[member] * np.float32(weight)
    return total


def dice_of_candidates(
    probabilities: Mapping[str, np.ndarray],
    reference: np.ndarray,
    candidates: Sequence[Candidate],
    ignore: int | None = None,
) -> np.ndarray:
    """Dice of one image, (candidates, classes without the background); NaN where a class is in neither.

    Args:
        probabilities: by model, (classes, H, W); the label of class i is i.
        reference: (H, W) labels.
        candidates: to be scored.
        ignore: label of the reference whose pixels do not count.
    """
    classes = len(next(iter(probabilities.values())))
    counted = np.ones(reference.shape, bool) if ignore is None else reference != ignore
    rows = reference[counted].astype(np.int64) * classes
    dice = np.empty((len(candidates), classes - 1))
    for index, candidate in enumerate(candidates):
        labels = average(probabilities, candidate).argmax(0)[counted]
        table = np.bincount(rows + labels, minlength=classes**2).reshape(classes, classes)
        both, either = np.diag(table), table.sum(0) + table.sum(1)
        dice[index] = ratio(2 * both[1:], either[1:])
    return dice


def mean_of_classes(dice: np.ndarray) -> np.ndarray:
    """Mean over the last axis, of the values that are defined; NaN where none is."""
    defined = ~np.isnan(dice)
    return np.asarray(ratio(np.where(defined, dice, 0).sum(-1), defined.sum(-1)))


def rank(
    dice: np.ndarray, candidates: Sequence[Candidate], groups: Sequence[str], costs: Mapping[str, float]
) -> list[Ranked]:
    """Order candidates by their mean Dice, best first.

    Args:
        dice: (images, candidates), the mean over classes of each image.
        candidates: in the order of the columns.
        groups: patient of each image; resamples are of patients.
        costs: of each model, such as seconds an image.
    """
    values, resampled = mean_of_classes(dice.T), resampled_means(dice, groups)
    best = int(np.nanargmax(values))
    ranked = [
        Ranked(
            candidate,
            float(values[i]),
            interval(resampled[:, i]),
            difference(float(values[best] - values[i]), resampled[:, best] - resampled[:, i]),
            sum(costs[member] for member in candidate.members),
        )
        for i, candidate in enumerate(candidates)
    ]
    return sorted(ranked, key=lambda one: (-one.value, one.cost))


def choose(ranking: Sequence[Ranked]) -> Ranked:
    """The cheapest candidate that the best one does not surely beat; at equal cost the better one.

    The best beats another surely where its mean is higher in `SURE` of the resamples.
    """
    level = [one for one in ranking if one is ranking[0] or not one.behind_best.share_above >= SURE]
    return min(level, key=lambda one: (one.cost, -one.value))


def choose_weights(
    dice: np.ndarray, candidates: Sequence[Candidate], groups: Sequence[str], folds: Sequence[int]
) -> tuple[Candidate, Difference]:
    """Equal weights, or learned ones where these win on cases by which they were not learned.

    For each fold, weights are learned on the cases of the other folds and scored on its own.

    Args:
        dice: (images, candidates), the mean over classes of each image.
        candidates: by `weightings_of`: the first has equal weights.
        groups: patient of each image.
        folds: that held out each image.

    Returns:
        The chosen weighting, and how much the learned ones gained over equal ones in this nested way.
    """
    of = np.asarray(folds)
    nested = np.empty(len(dice))
    for fold in np.unique(of):
        nested[of == fold] = dice[of == fold, int(np.nanargmax(mean_of_classes(dice[of != fold].T)))]
    both = np.stack([nested, dice[:, 0]], axis=1)
    learned, equal = mean_of_classes(both.T)
    resampled = resampled_means(both, groups)
    gain = difference(float(learned - equal), resampled[:, 0] - resampled[:, 1])
    wins = gain.value > 0 and gain.share_above >= SURE_OF_WEIGHTS
    return candidates[int(np.nanargmax(mean_of_classes(dice.T))) if wins else 0], gain
