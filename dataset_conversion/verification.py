"""The check of a raw data set, ours or anybody's: everything that is wrong, with what to do, in one go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medt_pipeline.core.cases import CASES_FILE, read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, require_folder
from medt_pipeline.core.parallel import ordered_map

from .inspection import show_size
from .problems import count, some
from .raw_dataset import Description, Finding, RawCase, check_count, list_cases, read_description
from .stored_pixels import StoredPixels, read_stored, write_mapped

MOST_NAMED = 10
"""Files that the text names for one and the same problem."""

WHITE = 255


@dataclass(frozen=True)
class Verification:
    """What a check found.

    Attributes:
        dataset: name of the folder.
        training_cases, test_cases: numbers of cases with readable names.
        findings: what is wrong, by file.
    """

    dataset: str
    training_cases: int
    test_cases: int
    findings: tuple[Finding, ...]

    @property
    def fixable(self) -> tuple[Finding, ...]:
        """What `fix` can do."""
        return tuple(one for one in self.findings if one.fix is not None)

    def to_text(self) -> str:
        """One line for the data set, and one for each problem with the files that have it."""
        found = count(len(self.findings), "problem")
        cases = f"{count(self.training_cases, 'training case')}, {count(self.test_cases, 'test case')}"
        files: dict[tuple[str, str], list[str]] = defaultdict(list)
        for one in self.findings:
            files[one.what, one.remedy].append(one.file)
        lines = [f"{self.dataset}: {cases}, {found}"]
        for (what, remedy), names in files.items():
            many = f" ({len(names)} files)" if len(names) > 1 else ""
            lines.append(f"  - {some(names, MOST_NAMED)}{many}: {what}; {remedy}.")
        return "\n".join(lines)


def verify(raw: Path) -> Verification:
    """Check the raw data set in the folder `raw`: its description, names, pixels, and what lies beside.

    Raises:
        UserError: there is no such folder.
    """
    require_folder(raw, "raw data")
    description, findings = read_description(raw)
    if description is None:
        return Verification(raw.name, 0, 0, tuple(findings))
    training, unclear = list_cases(raw, description, "Tr")
    test, more = list_cases(raw, description, "Ts")
    findings += [*unclear, *more, *check_count(raw, description, len(training), complete=not unclear)]
    if not training:
        findings.append(Finding("imagesTr", "holds no training case", "convert the data set again"))
    cases = [*training, *test]
    look = partial(_check_case, raw, description)
    for found in tqdm(ordered_map(look, cases), desc="Checking", total=len(cases), unit="case", disable=None):
        findings += found
    findings += _check_beside(raw, {case.name for case in cases})
    return Verification(raw.name, len(training), len(test), tuple(findings))


def fix(verification: Verification) -> int:
    """Do what can be done about the findings, file by file, each complete or untouched; returns the number done."""
    for one in verification.fixable:
        if one.fix is not None:
            one.fix()
    return len(verification.fixable)


def _check_case(raw: Path, description: Description, case: RawCase) -> list[Finding]:
    findings: list[Finding] = []
    stored = {file: _read(raw, file, findings) for file in case.images}
    images = {file: one for file, one in stored.items() if one is not None}
    if len(images) == len(stored):
        findings += _check_images(raw, description, images)
    if case.labels is None:
        return findings
    labels = _read(raw, case.labels, findings)
    if labels is not None:
        findings += _check_labels(raw, description, case.labels, labels)
        findings += _check_fit(raw, case.labels, labels, next(iter(images.items()), None))
        findings += _check_instances(raw, case.labels, labels)
    return findings


def _read(raw: Path, file: Path, findings: list[Finding]) -> StoredPixels | None:
    try:
        return read_stored(file)
    except UserError as error:
        findings.append(Finding(_name(raw, file), str(error), "restore the file or take the case away"))
        return None


def _check_images(raw: Path, description: Description, images: dict[Path, StoredPixels]) -> Iterator[Finding]:
    first, *others = images
    channels = sum(len(one.pixels) for one in images.values())
    if channels != description.channels:
        palette = " (it is a palette picture)" if images[first].palette else ""
        alpha = ", the last of which may be transparency" if channels == description.channels + 1 else ""
        what = f"has {count(channels, 'channel')}{alpha}{palette}, but dataset.json names {description.channels}"
        yield Finding(_name(raw, first), what, "bring all images to one form with medt_convert folder")
    for other in others:
        if images[other].size != images[first].size:
            what = f"has {show_size(images[other].size)} pixels, but {first.name} {show_size(images[first].size)}"
            yield Finding(_name(raw, other), what, "give all channels of a case one size")
    for file, one in images.items():
        if np.issubdtype(one.pixels.dtype, np.floating) and not np.isfinite(one.pixels).all():
            what = "holds values that are no numbers (NaN or infinite)"
            yield Finding(_name(raw, file), what, "replace them, or take the case away")


def _check_labels(raw: Path, description: Description, file: Path, labels: StoredPixels) -> Iterator[Finding]:
    name = _name(raw, file)
    if len(labels.pixels) > 1:
        kind = "palette" if labels.palette else "colour"
        what = f"is a {kind} picture, of which nnU-Net reads {len(labels.pixels)} channels"
        yield Finding(name, what, "convert the masks with medt_convert folder, which turns it into labels")
        return
    values = np.unique(labels.pixels)
    undeclared = [value for value in values.tolist() if value not in description.labels]
    if not undeclared:
        return
    if values.tolist() in ([0, WHITE], [WHITE]) and description.labels == {0, 1}:
        yield Finding(
            name, "holds 0 and 255, but dataset.json declares 0 and 1", "make 255 a 1", partial(_whiten, file)
        )
        return
    shown = some([f"{value:g}" for value in undeclared], 6)
    declared = ", ".join(str(label) for label in sorted(description.labels))
    what = f"holds {shown}, but dataset.json declares {declared}"
    yield Finding(name, what, "map the values with medt_convert folder --labels, or declare them")


def _check_fit(
    raw: Path, file: Path, labels: StoredPixels, image: tuple[Path, StoredPixels] | None
) -> Iterator[Finding]:
    if image is None:
        return
    path, stored = image
    if labels.size != stored.size:
        what = f"has {show_size(labels.size)} pixels, but {_name(raw, path)} has {show_size(stored.size)}"
        yield Finding(_name(raw, file), what, "give the label map that belongs to the image")
    elif labels.spacing and stored.spacing and not np.allclose(labels.spacing, stored.spacing):
        what = f"has the spacing {labels.spacing}, but {_name(raw, path)} has {stored.spacing}"
        yield Finding(_name(raw, file), what, "copy the geometry of the image, if both show the same")


def _check_instances(raw: Path, file: Path, labels: StoredPixels) -> Iterator[Finding]:
    """The map of object numbers of a case, if it has one, which must fit its label map `file`."""
    instances = file.parent.with_name(file.parent.name.replace("labels", "instances")) / file.name
    if instances == file or not instances.is_file():
        return
    findings: list[Finding] = []
    stored = _read(raw, instances, findings)
    yield from findings
    if stored is not None and stored.size != labels.size:
        what = f"has {show_size(stored.size)} pixels, but {_name(raw, file)} has {show_size(labels.size)}"
        yield Finding(_name(raw, instances), what, "convert the data set again")


def _check_beside(raw: Path, names: set[str]) -> Iterator[Finding]:
    """medt_cases.json and the instance maps, where they are."""
    try:
        known = read_cases(raw)
    except UserError as error:
        yield Finding(CASES_FILE, str(error).rstrip("."), "restore it")
        return
    strangers = sorted(known.keys() - names)
    missing = sorted(names - known.keys()) if known else []
    if strangers:
        yield Finding(CASES_FILE, f"names cases that are not there: {some(strangers)}", "convert the data set again")
    if missing:
        yield Finding(CASES_FILE, f"lacks the groups of {some(missing)}", "convert the data set again")
    for split in ("Tr", "Ts"):
        for file in sorted((raw / f"instances{split}").glob("*.png")):
            if file.stem not in names:
                yield Finding(_name(raw, file), "belongs to no case", "take it away, or convert the data set again")


def _whiten(file: Path) -> None:
    with atomic_path(file) as temporary:
        write_mapped(file, temporary, {WHITE: 1})


def _name(raw: Path, file: Path) -> str:
    return str(file.relative_to(raw)) if file.is_relative_to(raw) else str(file)
