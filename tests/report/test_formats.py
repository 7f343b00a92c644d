from __future__ import annotations

import math

import pytest

from medt_pipeline.report.formats import digits, entries, percent, plain


@pytest.mark.parametrize(("value", "text"), [(0.12345, "0.123"), (1, "1.000"), (None, "–"), (math.nan, "–")])
def test_digits(value: float | None, text: str) -> None:
    assert digits(value, 3) == text


@pytest.mark.parametrize(("value", "text"), [(0.5, "50.0%"), (0.0123, "1.23%"), (0, "0.0%"), (math.nan, "–")])
def test_percent(value: float, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (0.123456, "0.1235"),
        (None, "–"),
        ([1, 2], "1, 2"),
        ([], "–"),
        (list(range(20)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …"),
        ({"a": 1, "b": [2, 3]}, "a: 1, b: 2, 3"),
        ("0123456789abcdef0", "0123456789abcdef…"),
        ("words of any length at all", "words of any length at all"),
    ],
)
def test_plain(value: object, text: str) -> None:
    assert plain(value) == text


def test_entries() -> None:
    assert entries({"count": 5, "file": None}) == [("count", "5"), ("file", "–")]
    assert entries([3, 4]) == [("", "3, 4")]
