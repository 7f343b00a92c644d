"""Images that are pixel for pixel the same: they must not lie on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .inspection import Inspected


@dataclass(frozen=True)
class Duplicate:
    """Cases with one and the same picture, sorted by name.

    Attributes:
        masks_differ: the masks do not agree, so at least one must be wrong.
        across_test: some are for training and some for testing.
        groups_differ: their declared groups are not the same.
    """

    names: tuple[str, ...]
    masks_differ: bool
    across_test: bool
    groups_differ: bool

    def explain(self) -> str:
        """A line for the summary: "0043 = 0077; their masks differ"."""
        parts = [" = ".join(self.names)]
        if self.masks_differ:
            parts.append("their masks differ")
        if self.across_test:
            parts.append("one is for training, one for testing: the test is no longer blind")
        if self.groups_differ:
            parts.append("they were declared to be in different groups, which stays so: check the groups")
        return "; ".join(parts)


def find_duplicates(inspected: Sequence[Inspected]) -> list[Duplicate]:
    """All sets of cases whose images hold the same pixels, sorted by their first name."""
    same: dict[str, list[Inspected]] = defaultdict(list)
    for one in sorted(inspected, key=lambda one: one.case.name):
        same[one.image.digest].append(one)
    return [_describe(cases) for cases in same.values() if len(cases) > 1]


def groups_of(inspected: Sequence[Inspected], duplicates: Sequence[Duplicate]) -> dict[str, str]:
    """The group of every case: the declared one, else the first name among its duplicates, which is mostly its own."""
    first = {name: duplicate.names[0] for duplicate in duplicates for name in duplicate.names}
    names = [one.case.name for one in inspected]
    groups = {name: first.get(name, name) for name in names}
    return groups | {one.case.name: one.case.group for one in inspected if one.case.group is not None}


def _describe(cases: Sequence[Inspected]) -> Duplicate:
    return Duplicate(
        names=tuple(one.case.name for one in cases),
        masks_differ=len({one.mask.digest for one in cases if one.mask is not None}) > 1,
        across_test=len({one.case.test for one in cases}) > 1,
        groups_differ=len({one.case.group for one in cases}) > 1,
    )
