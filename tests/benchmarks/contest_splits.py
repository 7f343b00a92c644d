"""Which images a run of the contest trains on, beside the planned folds: few of them, or those of one kind only."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from medt_pipeline.core.cases import Case
from medt_pipeline.planning.rules.folds import Split

ALL = "all"
"""The planned folds as they are."""
OTHERS = "others"
"""All known values of a fact but the one that is scored."""


def splits_for(
    training: str, planned: list[Split], cases: Mapping[str, Case], groups: Mapping[str, str]
) -> list[Split]:
    """The folds of a run.

    Args:
        training: "all"; "N images", which keeps N training images of each planned fold, the smaller numbers among the
            larger; or "FACT: ONE to OTHER", a single fold that trains on the cases with one value of a fact, or with
            any but the other ("others"), and is scored on those with another.
        planned: the planned folds.
        cases: what is known of each case (`medt_cases.json`).
        groups: patient by case; no patient is on both sides.

    Raises:
        ValueError: `training` is none of these, or leaves a side empty.
    """
    if training == ALL:
        return planned
    few = re.fullmatch(r"(\d+) images", training)
    shift = re.fullmatch(r"(\w+): (.+) to (.+)", training)
    if few:
        splits = [_few(int(few[1]), fold, split) for fold, split in enumerate(planned)]
    elif shift:
        splits = [_shift(shift[1], shift[2], shift[3], cases, groups)]
    else:
        raise ValueError(f'training must be "all", "N images" or "FACT: ONE to OTHER", got {training!r}')
    if not all(split["train"] and split["val"] for split in splits):
        raise ValueError(f"{training!r} leaves no images to train on or none to score")
    return splits


def _few(count: int, fold: int, split: Split) -> Split:
    order = np.random.default_rng(fold).permutation(sorted(split["train"]))
    return {"train": sorted(map(str, order[:count])), "val": split["val"]}


def _shift(fact: str, one: str, other: str, cases: Mapping[str, Case], groups: Mapping[str, str]) -> Split:
    known = {name: str(cases[name].facts[fact]) for name in groups if fact in cases[name].facts}
    held_out = sorted(name for name, value in known.items() if value == other)
    patients = {groups[name] for name in held_out}
    taken = [name for name, value in known.items() if value == one or (one == OTHERS and value != other)]
    train = sorted(name for name in taken if groups[name] not in patients)
    return {"train": train, "val": held_out}
