"""A raw data set with more cases: put together beside its place, and complete or unchanged afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from medt_pipeline.core.cases import Case, read_cases, write_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json, require_folder, write_json
from medt_pipeline.core.images import write_png

from .channels import to_channels
from .contact_sheet import SheetCase, draw_contact_sheet
from .inspection import ImageFacts, Inspected
from .objects import find_objects
from .raw_dataset import DESCRIPTION, list_cases, read_description
from .target import Target
from .writer import CONVERSION_FILE, narrow, write_checked

ADDED_SHEET = "contact_sheet_corrections.png"
INSTANCES = "instancesTr"
Summary = TypeVar("Summary")


@dataclass(frozen=True)
class ExistingSet:
    """A raw data set to which cases can be added.

    Attributes:
        raw: its folder.
        content: of its dataset.json.
        training: image file by name of the training case.
        test_names: names of the test cases in lower case.
        known: what stands in medt_cases.json, or what is true without it: each case is its own group.
    """

    raw: Path
    content: Mapping[str, Any]
    training: Mapping[str, Path]
    test_names: frozenset[str]
    known: Mapping[str, Case]

    @property
    def rgb(self) -> bool:
        """Whether images have three channels."""
        return len(self.content["channel_names"]) == 3

    def training_name(self, name: str) -> str | None:
        """The training case of this name, whatever its capitals; None where there is none."""
        return next((there for there in self.training if there.lower() == name.lower()), None)

    def require_channels(self, image: ImageFacts, file: Path) -> None:
        """Check that an image can have the form of the others.

        Raises:
            UserError: it is coloured and they are gray, or they are RGB and it has 16 bits.
        """
        if image.coloured and not self.rgb:
            raise UserError(f"{file} is a coloured image, but those of {self.raw.name} are gray; leave it out.")
        if self.rgb and image.dtype != np.uint8:
            raise UserError(f"{file} has more than 8 bits, but the images of {self.raw.name} are RGB of 8 bits.")


@dataclass(frozen=True, eq=False)
class AddedCase:
    """A case that is added, or whose mask takes the place of another.

    Attributes:
        inspected: the case with the facts about its pictures.
        labels: (H, W) uint8, labels of the data set.
        objects: (H, W) object numbers; None where the source knows none.
        replaces: the case is there already, with the same image.
        group: which no fold may part.
        origin: where the mask comes from, for medt_cases.json.
    """

    inspected: Inspected
    labels: np.ndarray
    objects: np.ndarray | None
    replaces: bool
    group: str
    origin: Mapping[str, str | float]

    @property
    def name(self) -> str:
        """Of the case."""
        return self.inspected.case.name


def read_existing(raw: Path) -> ExistingSet:
    """Read what a raw data set holds; no picture is opened.

    Raises:
        UserError: it is not there, not in order, or in a form to which no PNG can be added.
    """
    description, findings = read_description(require_folder(raw, "raw data"))
    if description is not None and not findings:
        training, findings = list_cases(raw, description, "Tr")
        test, more = list_cases(raw, description, "Ts")
        findings += more
    if description is None or findings:
        first = findings[0]
        raise UserError(
            f"{raw} is not in order, so nothing is added to it ({first.file} {first.what}); "
            "medt_convert verify tells all."
        )
    several = any(len(case.images) != 1 for case in training)
    if description.ending != ".png" or several or description.channels not in (1, 3) or description.listed is not None:
        raise UserError(
            f"{raw} is not in the form that medt_convert writes (one gray or RGB PNG a case, found by its name), so "
            "nothing can be added to it; convert it with medt_convert folder first."
        )
    known = {case.name: Case(case.name, case.images[0].name, f"{case.name}.png") for case in training}
    return ExistingSet(
        raw,
        read_json(raw / DESCRIPTION),
        {case.name: case.images[0] for case in training},
        frozenset(case.name.lower() for case in test),
        {**known, **read_cases(raw)},
    )


def enlarge(
    target: Target,
    decide: Callable[[ExistingSet], tuple[Sequence[AddedCase], Summary]],
    tell: Callable[[Summary], str],
) -> Summary:
    """Add what `decide` gives to the raw data set `target`; what it holds else stays as it is.

    The larger data set is put together beside the old one, of the same files where the file system can link them, and
    takes its place when it is complete. With `target.check_only` nothing is written.

    Args:
        decide: what is to be added to the data set as it is when nobody else can change it, and a summary.
        tell: the sentence on it that medt_conversion.json keeps.

    Raises:
        UserError: as for `read_existing`, `Target.building` and `decide`.
    """
    raw = target.folder
    if raw.is_symlink():
        raise UserError(f"{raw} is a link; nothing is added behind it, so put the folder itself in its place.")
    if target.check_only:
        return decide(read_existing(raw))[1]
    with target.building() as folder:
        existing = read_existing(raw)
        added, summary = decide(existing)
        shutil.copytree(raw, folder, symlinks=True, copy_function=_link, dirs_exist_ok=True)
        sheet = [_write_case(folder, existing, one) for one in added]
        _write_tables(folder, existing, added, tell(summary))
        names = {value: name for name, value in existing.content["labels"].items() if isinstance(value, int)}
        write_png(folder / ADDED_SHEET, draw_contact_sheet(f"{raw.name}: corrections", sheet, names))
    return summary


def _link(source: str, target: str) -> str:
    """The same file under another name, which costs nothing; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _write_case(folder: Path, existing: ExistingSet, one: AddedCase) -> SheetCase:
    """Write the files of a case; those that are linked give way to new ones and are never written into."""
    image = folder / "imagesTr" / f"{one.name}_0000.png"
    if not one.replaces:
        write_checked(image, to_channels(one.inspected.case.image.read(), existing.rgb))
    labels = write_checked(folder / "labelsTr" / f"{one.name}.png", one.labels)
    instances = folder / INSTANCES / f"{one.name}.png"
    # object scores compare like with like: either all cases are to have numbers, or none
    if one.objects is not None and (existing.raw / INSTANCES).is_dir():
        write_checked(instances, narrow(one.objects))
        return SheetCase(one.name, image, labels, instances, find_objects(one.labels, one.objects))
    instances.unlink(missing_ok=True)
    return SheetCase(one.name, image, labels, None, find_objects(one.labels))


def _write_tables(folder: Path, existing: ExistingSet, added: Sequence[AddedCase], sentence: str) -> None:
    cases = {**existing.known, **{one.name: _facts(one, existing.known.get(one.name)) for one in added}}
    write_cases(folder, cases)
    training = len(existing.training) + sum(not one.replaces for one in added)
    write_json(folder / DESCRIPTION, {**existing.content, "numTraining": training})
    file = folder / CONVERSION_FILE
    conversion = read_json(file) if file.exists() else None
    if isinstance(conversion, dict):
        names = {*existing.training, *(one.name for one in added)}
        groups = len({case.group for name, case in cases.items() if name in names})
        notes = [*conversion.get("notes", []), sentence]
        write_json(file, {**conversion, "training_cases": training, "groups": groups, "notes": notes})


def _facts(one: AddedCase, before: Case | None) -> Case:
    """What is known of a case: of one that was there, beside the mask, what was known before."""
    case, size = one.inspected.case, one.inspected.image.pixel_size
    mask = case.mask.files[0].name if case.mask else None
    pixel_size = (size.y_um, size.x_um) if size else None
    if before is None:
        return Case(one.group, case.image.file.name, mask, pixel_size, facts=one.origin)
    return Case(
        one.group,
        before.image,
        mask,
        before.pixel_size_um or pixel_size,
        facts={**before.facts, **one.origin},
    )
