"""Cross-validation folds that never split a group (a patient) and hold out about the same of every class."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medt_pipeline.planning.decisions import Decision

Split = dict[str, list[str]]
"""One fold as in nnU-Net's splits_final.json: {"train": [cases], "val": [cases]}."""

SEED = 12345
"""nnU-Net's seed of the split."""

ORDERS = 20
"""Orders of equally large groups that are tried; fewer for many groups, where the first is good already."""

MOST_STEPS = 20_000
"""Groups times orders, at most: about a second."""

MOST_EXCHANGED = 2000
"""Groups up to which exchanges are tried, which takes a time with their square; more are even without."""

MOST_ROUNDS = 20
"""Rounds of exchanges; mostly no exchange helps after five."""

MOST_CLASSES_SHOWN = 3
"""Classes named in the reason."""

Content = Mapping[str, Mapping[str, float]]
"""By case and class the share of its pixels, 0 to 1; a class may be missing where it has none."""


def choose_folds(groups: Mapping[str, str], wanted: int, content: Content | None = None) -> Decision[list[Split]]:
    """Divide cases into folds that hold out nearly the same number of cases, and of pixels of each class.

    The largest groups are assigned first, each to the fold where the imbalance (`_imbalance`) stays least; no fold may
    get ahead of the smallest by more than the largest group. This is done for several orders of equally large groups,
    and for the rule that counts cases only; the best result is taken, so content never makes folds worse. Then equally
    large groups of different folds are exchanged as long as that lowers the imbalance.

    Args:
        groups: case name → group.
        wanted: number of folds; lowered where there are fewer groups.
        content: what the masks of the cases hold; None: only cases are counted.

    Returns:
        The folds. A single group cannot be cross-validated: then the list is empty, and only training on all data is
        possible.
    """
    sizes = Counter(groups.values())
    count = min(wanted, len(sizes))
    facts: dict[str, Any] = {"cases": len(groups), "groups": len(sizes), "wanted": wanted}
    if count < 2:
        reason = "All cases belong to one group, so no fold can be held out; train with fold `all`."
        return Decision("folds", [], "folds.choose_folds", reason, facts)
    table = _table(groups, content or {}, count)
    by_cases = _by_cases(sizes, count)
    fold_of = dict(zip(table.names, _divide(table, by_cases, count).tolist(), strict=True))
    splits = _splits(groups, fold_of, count)
    held_out = "/".join(str(len(split["val"])) for split in splits)
    fewer = "" if count == wanted else f" instead of {wanted}, because there are no more groups"
    reason = f"{count} folds{fewer}; {held_out} of {len(groups)} cases held out; none of {len(sizes)} groups is split"
    if content:
        facts |= {
            "imbalance": _imbalance(table, [fold_of[name] for name in table.names], count),
            "imbalance_by_cases_alone": _imbalance(table, [by_cases[name] for name in table.names], count),
            "class_shares_held_out": _shares(splits, content),
            "groups_with_class": _groups_with_class(groups, content),
        }
        reason += _spread_in_words(facts["class_shares_held_out"]) + _rare_in_words(facts["groups_with_class"], count)
    return Decision("folds", splits, "folds.choose_folds", reason + ".", facts)


@dataclass(frozen=True)
class _Table:
    """What counts of each group.

    Attributes:
        names: of the groups, sorted.
        sizes: (groups,) cases.
        features: (groups, n); their sums over a fold would be 1, 0, 0, … in every fold if all were equal. The first is
            the cases over those of the mean fold. Then follow, for each class the sum of its shares of pixels and the
            cases that have it, and at last the cases with an empty mask, each less what so many cases of the mean kind
            would have, over what the mean fold has, and over the root of their number. What occurs nowhere is left out.
    """

    names: list[str]
    sizes: np.ndarray
    features: np.ndarray


def _table(groups: Mapping[str, str], content: Content, count: int) -> _Table:
    classes = sorted({name for case in groups for name in content.get(case, {})})
    rows: dict[str, np.ndarray] = {group: np.zeros(2 + 2 * len(classes)) for group in sorted(set(groups.values()))}
    for case in sorted(groups):
        shares = np.array([content.get(case, {}).get(name, 0.0) for name in classes])
        empty = bool(classes) and not shares.any()
        rows[groups[case]] += np.concatenate([[1.0], shares, shares > 0, [float(empty)]])
    raw = np.array(list(rows.values()))
    cases, held = raw[:, :1], raw[:, 1:][:, raw[:, 1:].any(0)]
    unusual = held - cases * (held.sum(0) / cases.sum())
    scaled = unusual / (held.sum(0) / count) / np.sqrt(max(held.shape[1], 1))
    return _Table(list(rows), cases[:, 0].astype(int), np.hstack([cases * count / cases.sum(), scaled]))


def _imbalance(table: _Table, folds: Sequence[int] | np.ndarray, count: int) -> float:
    """How far folds differ, 0 where they are equal: the mean over the folds of the squared relative deviation of their
    cases from the mean fold, plus that of their shares of classes and empty masks, the mean over these."""
    return float(((_loads(table, np.asarray(folds), count) - _goal(table)) ** 2).sum(1).mean())


def _loads(table: _Table, folds: np.ndarray, count: int) -> np.ndarray:
    """(folds, n) sums of the features."""
    loads = np.zeros((count, table.features.shape[1]))
    np.add.at(loads, folds, table.features)
    return loads


def _goal(table: _Table) -> np.ndarray:
    return np.eye(1, table.features.shape[1])[0]


def _divide(table: _Table, by_cases: Mapping[str, int], count: int) -> np.ndarray:
    """Fold of each group, (groups,): the best of all rules, improved by exchanges; by cases alone without content."""
    folds = np.array([by_cases[name] for name in table.names])
    if table.features.shape[1] == 1:
        return folds
    candidates = [folds, *(_by_content(table, order, count) for order in _orders(table))]
    # Rounded, so that the last digit does not choose between equals.
    best = min(candidates, key=lambda one: round(_imbalance(table, one, count), 9))
    return _exchange(table, best, count)


def _by_cases(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """Fold of each group: the largest groups first, each into the fold that has the fewest cases so far."""
    order = sorted(sizes)
    random.Random(SEED).shuffle(order)
    order.sort(key=lambda group: -sizes[group])
    load = [0] * count
    fold_of = {}
    for group in order:
        fold = load.index(min(load))
        fold_of[group] = fold
        load[fold] += sizes[group]
    return fold_of


def _orders(table: _Table) -> list[np.ndarray]:
    """Orders of the groups, the largest first: equally large ones by what is unusual in them, and shuffled."""
    unusual = np.round((table.features[:, 1:] ** 2).sum(1), 9)
    orders = [np.lexsort((-unusual, -table.sizes))]
    for seed in range(min(ORDERS, MOST_STEPS // len(table.names)) - 1):
        shuffled = list(range(len(table.names)))
        random.Random(SEED + seed).shuffle(shuffled)
        orders.append(np.array(sorted(shuffled, key=lambda index: -table.sizes[index])))
    return orders


def _by_content(table: _Table, order: np.ndarray, count: int) -> np.ndarray:
    """Fold of each group, assigned in the given order: each goes where the squared distance to the goal grows least."""
    goal, largest = _goal(table), table.sizes.max()
    loads, cases = np.zeros((count, len(goal))), np.zeros(count, int)
    folds = np.zeros(len(order), int)
    for done, index in enumerate(order):
        own, size = table.features[index], table.sizes[index]
        cost = ((2 * (loads - goal) + own) * own).sum(1)
        blocked = cases + size > cases.min() + largest
        if np.count_nonzero(cases == 0) >= len(order) - done:
            blocked |= cases > 0
        fold = int(np.argmin(np.where(blocked, np.inf, cost)))
        folds[index] = fold
        loads[fold] += own
        cases[fold] += size
    return folds


def _exchange(table: _Table, folds: np.ndarray, count: int) -> np.ndarray:
    """`folds` after exchanges of equally large groups, for each group the one that helps most, until none does."""
    if len(folds) > MOST_EXCHANGED:
        return folds
    folds, loads = folds.copy(), _loads(table, folds, count)
    for _ in range(MOST_ROUNDS):
        helped = [_exchange_one(index, table, folds, loads) for index in range(len(folds))]
        if not any(helped):
            break
    return folds


def _exchange_one(index: int, table: _Table, folds: np.ndarray, loads: np.ndarray) -> bool:
    """Exchange one group with the best other if that helps; changes `folds` (groups,) and `loads` (folds, n)."""
    own = folds[index]
    change = table.features - table.features[index]
    # What the squared distances of both folds to the goal gain when `change` goes from the other's fold to this one.
    cost = (2 * change * (loads[own] - loads[folds] + change)).sum(1)
    cost[(folds == own) | (table.sizes != table.sizes[index])] = 0
    other = int(np.argmin(cost))
    if cost[other] > -1e-9:
        return False
    loads[own] += change[other]
    loads[folds[other]] -= change[other]
    folds[index], folds[other] = folds[other], own
    return True


def _splits(groups: Mapping[str, str], fold_of: Mapping[str, int], count: int) -> list[Split]:
    return [
        {
            "train": sorted(case for case, group in groups.items() if fold_of[group] != fold),
            "val": sorted(case for case, group in groups.items() if fold_of[group] == fold),
        }
        for fold in range(count)
    ]


def _shares(splits: Sequence[Split], content: Content) -> dict[str, list[float]]:
    """By class its mean share of the pixels of the held-out cases, fold by fold, to four digits."""
    classes = sorted({name for split in splits for case in split["val"] for name in content.get(case, {})})
    return {
        name: [
            float(f"{np.mean([content.get(case, {}).get(name, 0.0) for case in split['val']]):.4g}") for split in splits
        ]
        for name in classes
    }


def _groups_with_class(groups: Mapping[str, str], content: Content) -> dict[str, int]:
    """By class the number of groups with at least one pixel of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for case, group in groups.items():
        for name, share in content.get(case, {}).items():
            found[name] |= {group} if share > 0 else set()
    return {name: len(found[name]) for name in sorted(found)}


def _spread_in_words(shares: Mapping[str, Sequence[float]]) -> str:
    shown = list(shares)[:MOST_CLASSES_SHOWN]
    words = ", ".join(f"class {name} {min(shares[name]):.1%} to {max(shares[name]):.1%}" for name in shown)
    more = f" and {len(shares) - len(shown)} more classes" if len(shares) > len(shown) else ""
    return f"; of the held-out pixels {words}{more}" if words else ""


def _rare_in_words(groups_with_class: Mapping[str, int], count: int) -> str:
    rare = [f"class {name} ({found})" for name, found in groups_with_class.items() if found < count]
    return f"; fewer groups than folds show {', '.join(rare)}: some folds hold out none of it" if rare else ""
