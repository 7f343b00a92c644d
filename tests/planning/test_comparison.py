from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.planning.comparison import readable_difference

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("expected", "found", "lines"),
    [
        ({}, {}, []),
        ({"a": {"b": 4}}, {"a": {"b": 8}}, ["a.b: 4 → 8"]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, ["a[1]: 2 → 3", "a[2]: (absent) → 4"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a[0].b: 1 → 2"]),
        ({"a": 1, "b": None}, {"c": True}, ["a: 1 → (absent)", "b: null → (absent)", "c: (absent) → true"]),
        ({"a": 3.14159}, {"a": 3.1412}, []),
        ({"a": 3.14}, {"a": 3.18}, ["a: 3.14 → 3.18"]),
        ({"a": 1000}, {"a": 1001}, ["a: 1000 → 1001"]),
        ({"a": 1000}, {"a": 1000.4}, []),
        ({"a": 1}, {"a": True}, ["a: 1 → true"]),
        ({"a": 1}, {"a": "1"}, ["a: 1 → '1'"]),
        ({"a": 0.0}, {"a": 1e-9}, ["a: 0 → 1e-09"]),
        ({"a": []}, {"a": {}}, ["a: [] → {}"]),
        ({"a": []}, {"a": [1]}, ["a[0]: (absent) → 1"]),
        ({"a": [1]}, {"a": 1}, ["a: [1] → 1"]),
        ({"a": {"b": 1}}, {}, ["a: {'b': 1} → (absent)"]),
        ({"a": (1, 2)}, {"a": [1, 2]}, []),
        ({"a": float("inf")}, {"a": float("inf")}, []),
    ],
)
def test_lines(expected: dict[str, Any], found: dict[str, Any], lines: list[str]) -> None:
    assert readable_difference(expected, found) == lines


@given(st.dictionaries(st.text(max_size=2), JSON, max_size=3))
def test_nothing_differs_from_itself(content: dict[str, Any]) -> None:
    assert readable_difference(content, content) == []
