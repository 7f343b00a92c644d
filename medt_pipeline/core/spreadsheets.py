"""Tables that people open with a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With one of these, a cell becomes a formula in spreadsheets."""


def plain_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula: names of classes and files may be those of others."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def text_of(cell: str) -> str:
    """The text of which `plain_cell` made a cell."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def to_csv(frame: pd.DataFrame, float_format: str | None = None) -> str:
    """A frame without its index as CSV with plain cells; what is missing is an empty cell.

    Args:
        frame: numbers and texts.
        float_format: of floats, such as "%.4f"; by default so many digits that they read back as the same numbers.
    """
    texts = {
        name: column.map(lambda one: plain_cell(one) if isinstance(one, str) else one)
        for name, column in frame.select_dtypes(exclude="number").items()
    }
    return frame.assign(**texts).to_csv(index=False, lineterminator="\n", float_format=float_format)
