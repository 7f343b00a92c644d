"""Images that show the same, pixel for pixel or nearly: they must not lie on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from medt_pipeline.core.near_duplicates import connected_groups, members_of, similar_pairs

from .inspection import Inspected


@dataclass(frozen=True)
class Duplicate:
    """Cases whose pictures show the same, in the order of the data set.

    Attributes:
        exact: the pixels are equal; False: they are alike as `core.near_duplicates` finds it, some perhaps equal.
        masks_differ: the masks of equal pictures do not agree, so at least one must be wrong.
        across_test: some are for training and some for testing.
        groups_differ: their declared groups are not the same.
        facts_differ: "class: benign, malignant" where the source says different things of them; else "".
    """

    names: tuple[str, ...]
    exact: bool
    masks_differ: bool
    across_test: bool
    groups_differ: bool
    facts_differ: str = ""

    def explain(self) -> str:
        """A line for the summary: "0043 = 0077; their masks differ"."""
        parts = [(" = " if self.exact else " ~ ").join(self.names)]
        if self.masks_differ:
            parts.append("their masks differ")
        if self.facts_differ:
            parts.append(f"the source says different things of them ({self.facts_differ})")
        if self.across_test:
            parts.append("some are for training, some for testing: the test is no longer blind")
        if self.groups_differ:
            parts.append("they were declared to be in different groups, which stays so: check the groups")
        return "; ".join(parts)


def find_duplicates(inspected: Sequence[Inspected]) -> list[Duplicate]:
    """All sets of cases whose images hold the same pixels, then all that show nearly the same, in their order."""
    by_name = {one.case.name: one for one in sorted(inspected, key=lambda one: one.case.name)}
    same: dict[str, list[str]] = defaultdict(list)
    for name, one in by_name.items():
        same[one.image.digest].append(name)
    equal = [names for names in same.values() if len(names) > 1]
    alike = similar_pairs(list(by_name), {name: one.image.thumbnail for name, one in by_name.items()}, {})
    links = [(pair.first, pair.second) for pair in alike]
    links += [(names[0], name) for names in equal for name in names[1:]]
    together = members_of(connected_groups(list(by_name), links)).values()
    near = [names for names in together if len(names) > 1 and names not in equal]
    return [_describe([by_name[name] for name in names], True) for names in equal] + [
        _describe([by_name[name] for name in names], False) for names in near
    ]


def groups_of(inspected: Sequence[Inspected], duplicates: Sequence[Duplicate]) -> dict[str, str]:
    """The group of every case: the declared one, else the first name among its duplicates, which is mostly its own."""
    first = {name: duplicate.names[0] for duplicate in duplicates for name in duplicate.names}
    names = [one.case.name for one in inspected]
    groups = {name: first.get(name, name) for name in names}
    return groups | {one.case.name: one.case.group for one in inspected if one.case.group is not None}


def _describe(cases: Sequence[Inspected], exact: bool) -> Duplicate:
    return Duplicate(
        names=tuple(one.case.name for one in cases),
        exact=exact,
        masks_differ=exact and len({one.mask.digest for one in cases if one.mask is not None}) > 1,
        across_test=len({one.case.test for one in cases}) > 1,
        groups_differ=len({one.case.group for one in cases}) > 1,
        facts_differ=_contradictions(cases),
    )


def _contradictions(cases: Sequence[Inspected]) -> str:
    """Words, such as a diagnosis, that differ; numbers, such as that of a frame, may."""
    said: dict[str, dict[str, None]] = defaultdict(dict)
    for one in cases:
        for key, value in one.case.facts.items():
            if isinstance(value, str):
                said[key][value] = None
    return "; ".join(f"{key}: {', '.join(values)}" for key, values in said.items() if len(values) > 1)
