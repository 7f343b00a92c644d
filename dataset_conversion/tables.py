"""Small tables that the owner of the images writes: CSV in the forms that spreadsheets save."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from medt_pipeline.core.errors import UserError

from .problems import count


def read_rows(file: Path, widths: Sequence[int], columns: str) -> list[list[str]]:
    """All rows that are not empty, cells without blanks around them, parted by comma, semicolon or tab.

    Args:
        widths: how many columns a row may have.
        columns: their names for the message, such as "name and group".

    Raises:
        UserError: the file is no text in UTF-8, or a row has another number of columns.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{file} is not a text file in UTF-8; save it as CSV (UTF-8).") from None
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=separator)]
    rows = [row for row in rows if any(row)]
    for number, row in enumerate(rows, start=1):
        if len(row) not in widths:
            needed = " or ".join({1: "one", 2: "two", 3: "three"}[width] for width in widths)
            raise UserError(f"{file} has {count(len(row), 'column')} in row {number}; {needed} are needed: {columns}.")
    return rows
