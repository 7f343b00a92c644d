"""Numbers and records as text for a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

UNDEFINED = "–"
MOST_ENTRIES = 12
"""Entries of a list that are written out."""
LONGEST_WORD = 16
"""Letters of a hash or the like that are written out."""


def digits(value: float | None, count: int) -> str:
    """A number with `count` digits after the point; "–" for None and NaN."""
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.{count}f}"


def percent(share: float | None) -> str:
    """A share, 0 to 1, in percent; "–" for None and NaN."""
    if share is None or math.isnan(share):
        return UNDEFINED
    return f"{share:.2%}" if 0 < share < 0.1 else f"{share:.1%}"


def plain(value: Any) -> str:
    """A value from JSON as a short text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(one)}" for key, one in value.items()) or UNDEFINED
    if isinstance(value, list):
        shown = [plain(one) for one in value[:MOST_ENTRIES]]
        return ", ".join(shown + ["…"] * (len(value) > MOST_ENTRIES)) or UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = UNDEFINED if value is None else str(value)
    return f"{text[:LONGEST_WORD]}…" if len(text) > LONGEST_WORD and " " not in text else text


def entries(value: Any) -> list[tuple[str, str]]:
    """A value from JSON as pairs of key and text; one pair with the key "" where it is no object."""
    if isinstance(value, Mapping):
        return [(str(key), plain(one)) for key, one in value.items()]
    return [("", plain(value))]
