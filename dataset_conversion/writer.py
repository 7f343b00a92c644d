"""From a selection of cases to a complete raw data set: look at all, decide, write, read back, put in place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medt_pipeline.core.cases import Case, write_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import write_json
from medt_pipeline.core.images import read_image, write_png
from medt_pipeline.core.parallel import ordered_map

from .channels import CHANNEL_NAMES, to_channels
from .contact_sheet import SheetCase, draw_contact_sheet
from .decisions import Decisions, decide
from .inspection import Inspected, inspect
from .label_mapping import DeclaredLabel, to_values
from .objects import CaseObjects, find_objects
from .problems import Problems
from .registry_line import Source
from .sources import Selection, SourceCase
from .summary import Summary, summarize
from .target import Target

CONVERSION_FILE = "medt_conversion.json"
CONTACT_SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class WrittenCase:
    """What became of a case: its files (None where there is none) and its objects."""

    image: Path
    labels: Path | None
    instances: Path | None
    objects: CaseObjects


def write_dataset(
    selection: Selection,
    declared: Sequence[DeclaredLabel],
    source: Source,
    target: Target,
    problems: Problems,
) -> Summary:
    """Write `selection` as a raw data set into `target.folder`, which is complete or untouched afterwards.

    Every picture is read back and compared with what was meant. With `target.check_only` nothing is written.

    Args:
        problems: what was wrong with names and folders already; told together with what is wrong in the pictures.

    Raises:
        UserError: any problem; nothing is written then.
    """
    inspected = inspect(selection.cases, problems)
    if not any(not case.test for case in selection.cases):
        problems.add("There is no training case left, so there is nothing to learn.")
    decisions = decide(inspected, declared, problems)
    if target.check_only:
        return summarize(selection, inspected, decisions, source, target, {}, 0)
    with target.building() as folder:
        write = partial(_write_case, folder, decisions)
        cases = tqdm(selection.cases, desc="Writing", unit="image", disable=None)
        written = {case.name: one for case, one in zip(cases, ordered_map(write, selection.cases), strict=True)}
        maps = sum(one.instances is not None for one in written.values())
        summary = summarize(selection, inspected, decisions, source, target, _areas(written.values()), maps)
        _write_tables(folder, inspected, decisions, source, target)
        write_png(folder / CONTACT_SHEET, _contact_sheet(written, decisions, target))
        for name, content in {**selection.files, CONVERSION_FILE: summary.to_json()}.items():
            write_json(folder / name, content)
    return summary


def _write_case(folder: Path, decisions: Decisions, case: SourceCase) -> WrittenCase:
    split = "Ts" if case.test else "Tr"
    picture = to_channels(case.image.read(), decisions.channels.rgb)
    image = write_checked(folder / f"images{split}" / f"{case.name}_0000.png", picture)
    if case.mask is None:
        return WrittenCase(image, None, None, CaseObjects())
    mask = case.mask.read(picture.shape[:2])
    labels = decisions.labels.apply(to_values(mask.values, decisions.found.coloured))
    label_file = write_checked(folder / f"labels{split}" / f"{case.name}.png", labels)
    if mask.objects is None:
        return WrittenCase(image, label_file, None, find_objects(labels))
    objects = narrow(mask.objects)
    instances = write_checked(folder / f"instances{split}" / f"{case.name}.png", objects)
    return WrittenCase(image, label_file, instances, find_objects(labels, objects))


def write_checked(file: Path, picture: np.ndarray) -> Path:
    """Write a PNG, make its folder where absent, and compare what is read back.

    Raises:
        UserError: it is not what was written.
    """
    file.parent.mkdir(exist_ok=True)
    write_png(file, picture)
    back = read_image(file)
    if back.dtype != picture.dtype or not np.array_equal(back, picture):
        raise UserError(f"{file.name} does not read back as it was written; check the disk and convert again.")
    return file


def narrow(objects: np.ndarray) -> np.ndarray:
    """Object numbers as uint8, or as uint16 where one is above 255."""
    return objects.astype(np.uint8 if objects.max() <= np.iinfo(np.uint8).max else np.uint16)


def _areas(written: Collection[WrittenCase]) -> dict[int, np.ndarray]:
    """By label the pixels of all its objects, (n,)."""
    labels = sorted({label for one in written for label in one.objects.areas})
    return {
        label: np.concatenate([one.objects.areas[label] for one in written if label in one.objects.areas])
        for label in labels
    }


def _write_tables(
    folder: Path, inspected: Sequence[Inspected], decisions: Decisions, source: Source, target: Target
) -> None:
    write_cases(folder, {one.case.name: _facts(one, decisions.groups[one.case.name]) for one in inspected})
    dataset = {
        "channel_names": CHANNEL_NAMES[decisions.channels.rgb],
        "labels": {name: label for label, name in enumerate(decisions.labels.names)},
        "numTraining": sum(not one.case.test for one in inspected),
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
        "name": target.name,
        "description": f"{source.title}: {source.task}; {source.modality}",
        "reference": source.url,
        "licence": source.terms,
        "converted_by": "medt_convert",
    }
    write_json(folder / "dataset.json", {key: value for key, value in dataset.items() if value != ""})


def _facts(one: Inspected, group: str) -> Case:
    case, size = one.case, one.image.pixel_size
    masks = [file.name for file in case.mask.files] if case.mask else []
    return Case(
        group,
        case.image.file.name,
        masks[0] if masks else None,
        (size.y_um, size.x_um) if size else None,
        tuple(masks[1:]),
        dict(case.facts),
    )


def _contact_sheet(written: Mapping[str, WrittenCase], decisions: Decisions, target: Target) -> np.ndarray:
    cases = [
        SheetCase(name, one.image, one.labels, one.instances, one.objects)
        for name, one in sorted(written.items())
        if one.labels is not None
    ]
    return draw_contact_sheet(target.dataset_name, cases, dict(enumerate(decisions.labels.names)))
