"""Which cases belong together: as declared, because they show nearly the same, or by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medt_pipeline.core.near_duplicates import SimilarPair, connected_groups, members_of, similar_pairs
from medt_pipeline.fingerprint.case_facts import MeasuredCase


@dataclass(frozen=True)
class GroupSummary:
    """Declared groups, near-duplicates, and both joined.

    Attributes:
        declared: number of declared groups; None where none is known.
        near_duplicate_pairs: the most alike first.
        near_duplicate_groups: the cases of each group of two or more.
        near_duplicate_cases: number of cases in these groups.
        pairs_across_groups: number of pairs whose declared groups differ.
        fold_groups: number of groups that no fold may part (`CaseFacts.fold_group`).
        largest_fold_group: cases in the largest of them.
    """

    declared: int | None
    near_duplicate_pairs: list[SimilarPair]
    near_duplicate_groups: list[list[str]]
    near_duplicate_cases: int
    pairs_across_groups: int
    fold_groups: int
    largest_fold_group: int


def group_cases(cases: Mapping[str, MeasuredCase]) -> tuple[dict[str, MeasuredCase], list[SimilarPair]]:
    """`cases` with their near-duplicate and fold groups set, and the pairs of near-duplicates."""
    names = list(cases)
    declared = {name: case.facts.group for name, case in cases.items() if case.facts.group is not None}
    pairs = similar_pairs(names, {name: case.thumbnail for name, case in cases.items()}, declared)
    alike = [(pair.first, pair.second) for pair in pairs]
    together = [(members[0], member) for members in members_of(declared).values() for member in members[1:]]
    near, fold = connected_groups(names, alike), connected_groups(names, alike + together)
    grouped = {
        name: replace(case, facts=replace(case.facts, near_duplicate_group=near[name], fold_group=fold[name]))
        for name, case in cases.items()
    }
    return grouped, pairs


def summarise_groups(cases: Mapping[str, MeasuredCase], pairs: Sequence[SimilarPair]) -> GroupSummary:
    """Summary of what `group_cases` returns, for at least one case."""
    declared = {case.facts.group for case in cases.values()} - {None}
    near = members_of({name: case.facts.near_duplicate_group for name, case in cases.items()})
    fold = members_of({name: case.facts.fold_group for name, case in cases.items()})
    alike = [members for members in near.values() if len(members) > 1]
    return GroupSummary(
        len(declared) or None,
        list(pairs),
        alike,
        sum(len(members) for members in alike),
        sum(pair.crosses_groups for pair in pairs),
        len(fold),
        max(len(members) for members in fold.values()),
    )
