"""From a selection of cases to a complete raw data set: look at all, decide, write, put in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medt_pipeline.core.cases import Case, write_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import write_json
from medt_pipeline.core.images import write_png

from .channels import CHANNEL_NAMES, ChannelDecision, decide_channels, to_channels
from .duplicates import find_duplicates, groups_of
from .inspection import Inspected, found_values, inspect, show_size, value_counts
from .label_mapping import (
    DeclaredLabel,
    FoundValues,
    LabelMapping,
    decide_labels,
    show_value,
    to_values,
)
from .problems import Problems, some
from .registry import Source
from .sources import Selection, SourceCase
from .summary import LabelLine, Summary
from .target import Target

CONVERSION_FILE = "medt_conversion.json"
MANY_CLASSES = 9
"""Labels kept as they are, background included; beyond, a note asks whether they are objects."""


@dataclass(frozen=True)
class Decisions:
    """What was decided over the whole data set before a byte is written."""

    found: FoundValues
    labels: LabelMapping
    channels: ChannelDecision
    groups: dict[str, str]
    duplicates: tuple[str, ...]


def write_dataset(
    selection: Selection,
    declared: Sequence[DeclaredLabel],
    source: Source,
    target: Target,
    problems: Problems,
) -> Summary:
    """Write `selection` as a raw data set into `target.folder`, which is complete or untouched afterwards.

    Args:
        problems: what was wrong with names and folders already; told together with what is wrong in the pictures.

    Raises:
        UserError: any problem; nothing is written then.
    """
    inspected = inspect(selection.cases, problems)
    if not any(not case.test for case in selection.cases):
        problems.add("There is no training case left, so there is nothing to learn.")
    decisions = _decide(inspected, declared, problems)
    summary = _summarize(selection, inspected, decisions, source, target)
    if target.check_only:
        return summary
    with target.building() as folder:
        for case in tqdm(selection.cases, desc="Writing", unit="image", disable=None):
            _write_case(folder, case, decisions)
        _write_tables(folder, selection.cases, decisions, source, target)
        write_json(folder / CONVERSION_FILE, summary.to_json())
    return summary


def _decide(inspected: Sequence[Inspected], declared: Sequence[DeclaredLabel], problems: Problems) -> Decisions:
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
    told = tuple(duplicate.explain() for duplicate in duplicates)
    return Decisions(found, labels, channels, groups_of(inspected, duplicates), told)


def _report_undeclared(
    labels: LabelMapping, inspected: Sequence[Inspected], found: FoundValues, problems: Problems
) -> None:
    for one in inspected:
        if one.mask is None or one.case.mask is None:
            continue
        unknown = labels.undeclared(value_counts(one.mask, found.coloured))
        if unknown:
            shown = [
                f"{show_value(value, found.coloured)} ({pixels} pixels)" for value, pixels in sorted(unknown.items())
            ]
            palette = " (a palette file holds indices, not colours)" if one.mask.palette else ""
            problems.add(
                f"{one.case.mask.files[0]} holds values that --labels does not name: {some(shown, 6)}{palette}."
            )


def _write_case(folder: Path, case: SourceCase, decisions: Decisions) -> None:
    split = "Ts" if case.test else "Tr"
    picture = to_channels(case.image.read(), decisions.channels.rgb)
    write_png(_in(folder, f"images{split}", f"{case.name}_0000.png"), picture)
    if case.mask is None:
        return
    mask = case.mask.read(picture.shape[:2])
    values = to_values(mask.values, decisions.found.coloured)
    write_png(_in(folder, f"labels{split}", f"{case.name}.png"), decisions.labels.apply(values))
    if mask.objects is not None:
        write_png(_in(folder, f"instances{split}", f"{case.name}.png"), _narrow(mask.objects))


def _narrow(objects: np.ndarray) -> np.ndarray:
    """Object numbers as uint8, or as uint16 where one is above 255."""
    return objects.astype(np.uint8 if objects.max() <= np.iinfo(np.uint8).max else np.uint16)


def _in(folder: Path, part: str, name: str) -> Path:
    (folder / part).mkdir(exist_ok=True)
    return folder / part / name


def _write_tables(
    folder: Path, cases: Sequence[SourceCase], decisions: Decisions, source: Source, target: Target
) -> None:
    write_cases(folder, {case.name: _facts(case, decisions.groups[case.name]) for case in cases})
    dataset = {
        "channel_names": CHANNEL_NAMES[decisions.channels.rgb],
        "labels": {name: label for label, name in enumerate(decisions.labels.names)},
        "numTraining": sum(not case.test for case in cases),
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
        "name": target.name,
        "description": f"{source.title}: {source.task}; {source.modality}",
        "reference": source.url,
        "licence": source.terms,
        "converted_by": "medt_convert",
    }
    write_json(folder / "dataset.json", {key: value for key, value in dataset.items() if value != ""})


def _facts(case: SourceCase, group: str) -> Case:
    size = case.image.pixel_size()
    masks = [file.name for file in case.mask.files] if case.mask else [None]
    return Case(
        group,
        case.image.file.name,
        masks[0],
        (size.y_um, size.x_um) if size else None,
        tuple(name for name in masks[1:] if name),
        dict(case.facts),
    )


def _summarize(
    selection: Selection,
    inspected: Sequence[Inspected],
    decisions: Decisions,
    source: Source,
    target: Target,
) -> Summary:
    cases = selection.cases
    sizes = Counter(show_size(one.image.size) for one in inspected)
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
        labels=_label_lines(decisions.labels, decisions.found),
        empty_masks=sum(_is_empty(one, decisions) for one in inspected),
        groups=len({decisions.groups[case.name] for case in cases if not case.test}),
        group_rule=selection.group_rule,
        duplicates=decisions.duplicates,
        notes=(*selection.notes, *_further_notes(decisions, inspected, target)),
        left_out=selection.left_out,
    )


def _label_lines(labels: LabelMapping, found: FoundValues) -> tuple[LabelLine, ...]:
    total = sum(found.counts.values())
    pixels: Counter[int] = Counter()
    for value, number in found.counts.items():
        pixels[labels.label_of[value]] += number
    return tuple(
        LabelLine(label, name, tuple(_with_palette(labels, found, label)), round(pixels[label] / total, 6))
        for label, name in enumerate(labels.names)
    )


def _with_palette(labels: LabelMapping, found: FoundValues, label: int) -> list[str]:
    values = sorted(value for value in labels.label_of if labels.label_of[value] == label)
    colours = [f" ({found.palette[value]} in the palette)" if value in found.palette else "" for value in values]
    return [show_value(value, found.coloured) + colour for value, colour in zip(values, colours, strict=True)]


def _is_empty(one: Inspected, decisions: Decisions) -> bool:
    if one.mask is None:
        return False
    return not any(decisions.labels.label_of[value] for value in value_counts(one.mask, decisions.found.coloured))


def _further_notes(decisions: Decisions, inspected: Sequence[Inspected], target: Target) -> list[str]:
    notes = []
    absent = [name for name in decisions.labels.names[1:] if not _pixels_of(name, decisions)]
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
    if target.folder.exists():
        notes.append("an older data set was replaced; what was preprocessed or trained from it is out of date")
    return notes


def _pixels_of(name: str, decisions: Decisions) -> int:
    label = decisions.labels.names.index(name)
    return sum(pixels for value, pixels in decisions.found.counts.items() if decisions.labels.label_of[value] == label)
