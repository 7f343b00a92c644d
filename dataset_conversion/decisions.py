"""What is decided over a whole data set before a byte is written: labels, channels, groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medt_pipeline.core.errors import UserError

from .channels import ChannelDecision, decide_channels
from .duplicates import Duplicate, find_duplicates, groups_of
from .inspection import Inspected, found_values, value_counts
from .label_mapping import DeclaredLabel, FoundValues, LabelMapping, decide_labels, show_value
from .problems import Problems, some


@dataclass(frozen=True)
class Decisions:
    """The decisions, and what they rest on.

    Attributes:
        found: what all masks hold together.
        groups: by case name the unit that no split may part.
        duplicates: images that show the same.
    """

    found: FoundValues
    labels: LabelMapping
    channels: ChannelDecision
    groups: dict[str, str]
    duplicates: tuple[Duplicate, ...]


def decide(inspected: Sequence[Inspected], declared: Sequence[DeclaredLabel], problems: Problems) -> Decisions:
    """Decide everything; problems of the source that were found earlier are told with those found here.

    Raises:
        UserError: there is any problem, or no mask.
    """
    if not inspected:
        problems.raise_if_any()
    found = found_values(inspected, problems)
    labels = channels = None
    if found.counts:
        with problems.collecting():
            labels = decide_labels(found, declared)
            _report_undeclared(labels, inspected, found, problems)
    with problems.collecting():
        channels = decide_channels([one.image for one in inspected])
    problems.raise_if_any()
    if labels is None or channels is None:
        raise UserError("There is no mask at all, so there is nothing to learn.")
    duplicates = find_duplicates(inspected)
    return Decisions(found, labels, channels, groups_of(inspected, duplicates), tuple(duplicates))


def _report_undeclared(
    labels: LabelMapping, inspected: Sequence[Inspected], found: FoundValues, problems: Problems
) -> None:
    for one in inspected:
        if one.mask is None:
            continue
        unknown = labels.undeclared(value_counts(one.mask, found.coloured))
        if unknown:
            shown = [
                f"{show_value(value, found.coloured)} ({pixels} pixels)" for value, pixels in sorted(unknown.items())
            ]
            palette = " (a palette file holds indices, not colours)" if one.mask.palette else ""
            problems.add(f"{one.mask_file} holds values that --labels does not name: {some(shown, 6)}{palette}.")
