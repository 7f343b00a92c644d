"""How a plan differs from what was expected, a line for each value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SAME_DIGITS = 3
"""Numbers that are equal to this many significant digits are the same."""

ABSENT = "(absent)"


def readable_difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Differences between two JSON objects, "configurations.2d.batch_size: 4 → 8", in the order of `expected`.

    Keys and entries of lists that only one side has are shown as `(absent)` on the other. Numbers with a fraction on
    either side that agree to three digits do not count; whole numbers must be equal.

    Returns:
        One line for every value that differs; empty where none does.
    """
    return list(_differences("", expected, found))


def _differences(path: str, expected: Any, found: Any) -> list[str]:
    ours, theirs = _parts(expected), _parts(found)
    if ours is None or theirs is None or isinstance(expected, Mapping) != isinstance(found, Mapping):
        return [] if _same(expected, found) else [f"{path}: {_shown(expected)} → {_shown(found)}"]
    keys = [*ours, *(key for key in theirs if key not in ours)]
    return [
        line
        for key in keys
        for line in _differences(_joined(path, key), ours.get(key, _ABSENT), theirs.get(key, _ABSENT))
    ]


class _Absent:
    """Stands for a value that is not there; JSON has none like it."""


_ABSENT = _Absent()


def _parts(value: Any) -> dict[str, Any] | None:
    """Entries of an object or list by name; None for a leaf."""
    if isinstance(value, Mapping):
        return {str(key): one for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {f"[{index}]": one for index, one in enumerate(value)}
    return None


def _joined(path: str, key: str) -> str:
    return path + key if not path or key.startswith("[") else f"{path}.{key}"


def _same(expected: Any, found: Any) -> bool:
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (expected, found))
    if not numbers or (isinstance(expected, int) and isinstance(found, int)):
        return type(expected) is type(found) and bool(expected == found)
    return math.isclose(expected, found, rel_tol=0.5 * 10 ** (1 - SAME_DIGITS)) or _rounded(expected) == _rounded(found)


def _rounded(number: float) -> str:
    return f"{number:.{SAME_DIGITS}g}"


def _shown(value: Any) -> str:
    if isinstance(value, _Absent):
        return ABSENT
    if isinstance(value, float):
        return f"{value:.6g}"
    plain = {"True": "true", "False": "false", "None": "null"}
    return plain.get(repr(value), repr(value))
