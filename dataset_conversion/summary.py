"""What a conversion did: as JSON beside the data set and as a short text for the reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .decisions import Decisions
from .inspection import Inspected, show_size, value_counts
from .label_mapping import show_value
from .problems import count, some
from .registry_line import Source
from .sources import Selection
from .target import Target

MOST_LINES = 8

MANY_CLASSES = 9
"""Labels kept as they are, background included; beyond, a note asks whether they are objects."""


@dataclass(frozen=True)
class ObjectLine:
    """The objects of one label: their number, and the pixels of the smallest, the median and the largest."""

    number: int
    smallest: int
    median: float
    largest: int


@dataclass(frozen=True)
class LabelLine:
    """One label.

    Attributes:
        mask_values: those that became this label, as text.
        share: of all mask pixels, 0 to 1.
        masks: number of masks that hold it.
        objects: None for the background, where there is none, and where nothing was written.
    """

    label: int
    name: str
    mask_values: tuple[str, ...]
    share: float
    masks: int
    objects: ObjectLine | None = None


@dataclass(frozen=True)
class Summary:
    """All that is to be known of a finished conversion; no path of this machine, no date: two runs give the same.

    Attributes:
        sizes: number of images of each "width×height", the most frequent first.
        channels, mask_reading, labels: the decisions, each with its reason.
        empty_masks: masks without any foreground.
        instance_maps: number of cases with an instance map; `pixel_sizes`: with a known size of a pixel.
        groups: number of groups among the training cases.
        duplicates: lines on images that are the same; `near_duplicates`: on those that show nearly the same.
        repairs: what was mended, by file.
        notes: what was renamed or left alone; `left_out`: what was not converted, and why.
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
    instance_maps: int
    pixel_sizes: int
    groups: int
    group_rule: str
    duplicates: tuple[str, ...] = ()
    near_duplicates: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
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
            f"  kept beside {count(self.instance_maps, 'instance map')}, {count(self.pixel_sizes, 'pixel size')}",
            f"  groups      {self.groups} in training: {self.group_rule}",
        ]
        titled = (
            ("same image", self.duplicates),
            ("much alike", self.near_duplicates),
            ("repaired", self.repairs),
            ("note", self.notes),
            ("left out", self.left_out),
        )
        for title, entries in titled:
            lines += [f"  {title:11} {entry}" for entry in entries[:MOST_LINES]]
            if len(entries) > MOST_LINES:
                lines.append(f"  {title:11} and {len(entries) - MOST_LINES} more (see medt_conversion.json)")
        return "\n".join(lines)


def _label_text(label: LabelLine) -> str:
    values = _cut(label.mask_values) or "no value"
    text = f"    {label.label:2} {label.name}: {label.share:.2%} of the pixels, in {count(label.masks, 'mask')}"
    if label.objects is not None:
        one = label.objects
        sizes = f"{one.smallest:,} to {one.largest:,} pixels, median {one.median:,.0f}"
        text += f", {count(one.number, 'object')} ({sizes})"
    return f"{text}, from {values}"


def _cut(entries: list[str] | tuple[str, ...], most: int = 5) -> str:
    shown = ", ".join(entries[:most])
    return f"{shown} and {len(entries) - most} more" if len(entries) > most else shown


def summarize(
    selection: Selection,
    inspected: Sequence[Inspected],
    decisions: Decisions,
    source: Source,
    target: Target,
    areas: Mapping[int, np.ndarray],
    instance_maps: int,
) -> Summary:
    """Put together what a conversion found and decided.

    Args:
        areas: by label the pixels of each of its objects, (n,); {} where nothing was written.
        instance_maps: number of cases with one.
    """
    cases = selection.cases
    sizes = Counter(show_size(one.image.size) for one in inspected)
    explained = {
        exact: tuple(one.explain() for one in decisions.duplicates if one.exact is exact) for exact in (True, False)
    }
    return Summary(
        dataset=target.dataset_name,
        source=f"{source.key}: {source.title}",
        terms=source.terms,
        training_cases=sum(not case.test for case in cases),
        test_cases=sum(case.test for case in cases),
        test_masks=sum(case.test and case.mask is not None for case in cases),
        sizes=dict(sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0]))),
        channels=decisions.channels.rule,
        channel_reason=decisions.channels.reason,
        mask_reading=selection.mask_reading,
        label_rule=decisions.labels.rule,
        label_reason=decisions.labels.reason,
        labels=_label_lines(inspected, decisions, areas),
        empty_masks=sum(one.mask is not None and not any(_labels_in(one, decisions)) for one in inspected),
        instance_maps=instance_maps,
        pixel_sizes=sum(one.image.pixel_size is not None for one in inspected),
        groups=len({decisions.groups[case.name] for case in cases if not case.test}),
        group_rule=selection.group_rule,
        duplicates=explained[True],
        near_duplicates=explained[False],
        repairs=tuple(
            f"{one.mask_file.name}: {sentence}"
            for one in inspected
            if one.mask is not None and one.mask_file is not None
            for sentence in one.mask.repairs
        ),
        notes=(*selection.notes, *_further_notes(decisions, inspected, target)),
        left_out=selection.left_out,
    )


def _label_lines(
    inspected: Sequence[Inspected], decisions: Decisions, areas: Mapping[int, np.ndarray]
) -> tuple[LabelLine, ...]:
    labels, found = decisions.labels, decisions.found
    total = sum(found.counts.values())
    masks = Counter(label for one in inspected for label in _labels_in(one, decisions))
    pixels: Counter[int] = Counter()
    for value, number in found.counts.items():
        pixels[labels.label_of[value]] += number
    return tuple(
        LabelLine(
            label,
            name,
            tuple(_with_palette(decisions, label)),
            round(pixels[label] / total, 6),
            masks[label],
            _object_line(areas[label]) if label in areas else None,
        )
        for label, name in enumerate(labels.names)
    )


def _object_line(areas: np.ndarray) -> ObjectLine:
    return ObjectLine(len(areas), int(areas.min()), float(np.median(areas)), int(areas.max()))


def _labels_in(one: Inspected, decisions: Decisions) -> set[int]:
    if one.mask is None:
        return set()
    return {decisions.labels.label_of[value] for value in value_counts(one.mask, decisions.found.coloured)}


def _with_palette(decisions: Decisions, label: int) -> list[str]:
    labels, found = decisions.labels, decisions.found
    values = sorted(value for value in labels.label_of if labels.label_of[value] == label)
    colours = [f" ({found.palette[value]} in the palette)" if value in found.palette else "" for value in values]
    return [show_value(value, found.coloured) + colour for value, colour in zip(values, colours, strict=True)]


def _further_notes(decisions: Decisions, inspected: Sequence[Inspected], target: Target) -> list[str]:
    notes = []
    held = {label for one in inspected for label in _labels_in(one, decisions)}
    absent = [name for label, name in enumerate(decisions.labels.names) if label and label not in held]
    if absent:
        notes.append(f"no mask holds {', '.join(absent)}")
    if decisions.labels.rule == "labels" and len(decisions.labels.names) > MANY_CLASSES:
        notes.append(f"{len(decisions.labels.names) - 1} classes are many; if they are object numbers, use --instances")
    if len({one.image.dtype for one in inspected}) > 1:
        notes.append("images of 8 and of 16 bits are mixed; each keeps its own")
    both = {decisions.groups[one.case.name] for one in inspected if one.case.test}
    both &= {decisions.groups[one.case.name] for one in inspected if not one.case.test}
    if both:
        notes.append(f"{len(both)} groups have training and test cases: {some(sorted(both))}")
    if target.folder.exists() and not target.check_only:
        notes.append("an older data set was replaced; what was preprocessed or trained from it is out of date")
    return notes
