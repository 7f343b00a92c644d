"""What the converters of released data sets share: files by their names, pairs and tables."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import require_folder

from .label_mapping import DeclaredLabel, parse_labels
from .problems import Problems, count, some
from .sources import OWN_GROUP

NO_PATIENTS = f"the release tells no patients: {OWN_GROUP}"


def numbered(names: Sequence[str]) -> str:
    """Names for the values 1, 2, … as --labels has them: "benign=1,malignant=2"."""
    return ",".join(f"{name}={value}" for value, name in enumerate(names, start=1))


def chosen_labels(labels: Mapping[str, str], classes: str) -> tuple[DeclaredLabel, ...]:
    """The labels that a set has for a choice of --classes.

    Raises:
        UserError: there is no such choice.
    """
    if classes not in labels:
        raise UserError(f"--classes must be one of {', '.join(labels)}, got {classes!r}.")
    return parse_labels(labels[classes])


def files_in(folder: Path, pattern: str, title: str) -> dict[str, Path]:
    """Files directly in `folder` whose whole name fits `pattern`, sorted, by what its first group holds.

    Raises:
        UserError: `folder` is absent or none of its files fits.
    """
    expression = re.compile(pattern)
    matches = ((path, expression.fullmatch(path.name)) for path in sorted(require_folder(folder, title).iterdir()))
    found = {match[1]: path for path, match in matches if match and path.is_file()}
    if not found:
        raise UserError(f"{folder} holds none of the {title} (names such as {pattern}); unpack the archive again.")
    return found


def keep_pairs(
    images: Mapping[str, Path], masks: Mapping[str, Path], skip_unpaired: bool, problems: Problems
) -> tuple[list[str], tuple[str, ...]]:
    """Names of the images that have a mask, sorted, and the files left out, which are none without `skip_unpaired`."""
    images_alone = [f"image {images[name].name}" for name in sorted(images.keys() - masks.keys())]
    masks_alone = [f"mask {masks[name].name}" for name in sorted(masks.keys() - images.keys())]
    alone = images_alone + masks_alone
    if alone and not skip_unpaired:
        problems.add(
            f"{count(len(alone), 'file')} have no counterpart ({some(alone)}); unpack the archive again or leave "
            "them out with --skip-unpaired."
        )
    left_out = [f"{image}: no mask" for image in images_alone] + [f"{mask}: no image" for mask in masks_alone]
    return sorted(images.keys() & masks.keys()), tuple(left_out) if skip_unpaired else ()


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The columns asked for of a table with a header, parted by comma, semicolon or tab, cells without blanks around.

    A column is found whatever the capitals and blanks in its name, and is named as in `columns`.

    Raises:
        UserError: the file is missing, no text, or lacks a column.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; take it from the archive.") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise UserError(f"{path} is not a text file; take it from the archive.") from None
    separator = max(",;\t", key=(lines[0] if lines else "").count)
    rows = [row for row in csv.reader(lines, delimiter=separator) if any(cell.strip() for cell in row)]
    header = [_plain(cell) for cell in rows[0]] if rows else []
    absent = [column for column in columns if _plain(column) not in header]
    if absent:
        raise UserError(f"{path} lacks the columns {some(absent)}; take it from the archive.")
    places = {column: header.index(_plain(column)) for column in columns}
    last = max(places.values())
    return [{column: row[place].strip() for column, place in places.items()} for row in rows[1:] if len(row) > last]


def require_listed(names: Collection[str], listed: Collection[str], table: Path, problems: Problems) -> None:
    """Add a problem where `table` does not list all `names`."""
    absent = sorted(set(names) - set(listed))
    if absent:
        problems.add(f"{table} does not list {some(absent)}; take the table and the files from the same archive.")


def _plain(name: str) -> str:
    return re.sub(r"\s", "", name).lower()
