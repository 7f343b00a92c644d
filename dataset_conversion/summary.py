"""What a conversion did: as JSON beside the data set and as a short text for the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .problems import count

MOST_LINES = 8


@dataclass(frozen=True)
class LabelLine:
    """One label: its mask values as text, and its share of all mask pixels (0 to 1)."""

    label: int
    name: str
    mask_values: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Summary:
    """All that is to be known of a finished conversion; no path of this machine, no date: two runs give the same.

    Attributes:
        sizes: number of images of each "width×height", the most frequent first.
        channels, mask_values, labels: the decisions, each with its reason.
        groups: number of groups among the training cases.
        empty_masks: masks without any foreground.
        duplicates: lines on images that are the same.
        notes: what was renamed, repaired or left alone; `left_out`: files that --skip-unpaired left out.
    """

    dataset: str
    source: str
    terms: str
    training_cases: int
    test_cases: int
    test_masks: int
    sizes: Mapping[str, int]
    channels: str
    channel_reason: str
    mask_reading: str
    label_rule: str
    label_reason: str
    labels: tuple[LabelLine, ...]
    empty_masks: int
    groups: int
    group_rule: str
    duplicates: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same as plain lists and dicts."""
        return asdict(self)

    def to_text(self) -> str:
        """A dozen lines, the same facts; long lists are cut, medt_conversion.json has them in full."""
        sizes = [f"{size} ({number})" for size, number in self.sizes.items()]
        test = count(self.test_cases, "test case") + (f" ({self.test_masks} with mask)" if self.test_cases else "")
        lines = [
            f"{self.dataset}: {count(self.training_cases, 'training case')}, {test}",
            f"  source      {self.source}",
            f"  terms       {self.terms}",
            f"  sizes       {_cut(sizes)}",
            f"  channels    {self.channels}: {self.channel_reason}",
            f"  mask values {self.mask_reading}; {self.label_reason}",
            *(_label_text(label) for label in self.labels),
            f"  empty masks {self.empty_masks or 'none'}",
            f"  groups      {self.groups} in training: {self.group_rule}",
        ]
        for title, entries in (("same image", self.duplicates), ("note", self.notes), ("left out", self.left_out)):
            lines += [f"  {title:11} {entry}" for entry in entries[:MOST_LINES]]
            if len(entries) > MOST_LINES:
                lines.append(f"  {title:11} and {len(entries) - MOST_LINES} more (see medt_conversion.json)")
        return "\n".join(lines)


def _label_text(label: LabelLine) -> str:
    values = _cut(label.mask_values) or "no value"
    return f"    {label.label:2} {label.name}: {label.share:.2%} of the pixels, from {values}"


def _cut(entries: list[str] | tuple[str, ...], most: int = 5) -> str:
    shown = ", ".join(entries[:most])
    return f"{shown} and {len(entries) - most} more" if len(entries) > most else shown
