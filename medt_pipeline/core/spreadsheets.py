"""Tables that people open with a spreadsheet."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With one of these, a cell becomes a formula in spreadsheets."""


def plain_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula: names of classes and files may be those of others."""
    return f"'{text}" if text.startswith(_FORMULA) else text
