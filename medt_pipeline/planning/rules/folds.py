"""Cross-validation folds that never split a group (a patient) between training and validation."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

from medt_pipeline.planning.decisions import Decision

Split = dict[str, list[str]]
"""One fold as in nnU-Net's splits_final.json: {"train": [cases], "val": [cases]}."""

SEED = 12345
"""nnU-Net's seed of the split."""


def choose_folds(groups: Mapping[str, str], wanted: int) -> Decision[list[Split]]:
    """Divide cases into folds of nearly equal size without splitting a group.

    Args:
        groups: case name → group.
        wanted: number of folds; lowered where there are fewer groups.

    Returns:
        The folds. A single group cannot be cross-validated: then the list is empty, and only training on all data is
        possible.
    """
    sizes = Counter(groups.values())
    count = min(wanted, len(sizes))
    facts = {"cases": len(groups), "groups": len(sizes), "wanted": wanted}
    if count < 2:
        reason = "All cases belong to one group, so no fold can be held out; train with fold `all`."
        return Decision("folds", [], "folds.choose_folds", reason, facts)
    fold_of = _assign(sizes, count)
    splits: list[Split] = [
        {
            "train": sorted(case for case, group in groups.items() if fold_of[group] != fold),
            "val": sorted(case for case, group in groups.items() if fold_of[group] == fold),
        }
        for fold in range(count)
    ]
    held_out = "/".join(str(len(split["val"])) for split in splits)
    fewer = "" if count == wanted else f" instead of {wanted}, because there are no more groups"
    reason = f"{count} folds{fewer}; {held_out} of {len(groups)} cases held out; none of {len(sizes)} groups is split."
    return Decision("folds", splits, "folds.choose_folds", reason, facts)


def _assign(sizes: Mapping[str, int], count: int) -> dict[str, int]:
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
