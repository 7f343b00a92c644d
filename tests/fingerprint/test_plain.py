from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.fingerprint.plain import from_plain, to_plain


@dataclass(frozen=True)
class Inner:
    value: float
    name: str | None


@dataclass(frozen=True)
class Outer:
    count: int
    flag: bool
    inner: Inner | None
    pair: tuple[float, float]
    rows: list[Inner]
    table: dict[str, Inner]
    maybe: float | None


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False, width=32), st.booleans(), st.none() | st.text())
def test_back_and_forth(count: int, number: float, flag: bool, name: str | None) -> None:
    inner = Inner(number, name)
    record = Outer(count, flag, inner if flag else None, (number, 1.0), [inner] * 2, {"1": inner}, number)
    content = json.loads(json.dumps(to_plain(record), allow_nan=False))
    again = from_plain(Outer, content)
    assert to_plain(again) == content
    assert again.rows[0].value == pytest.approx(number, rel=1e-5)


def test_numbers_become_plain() -> None:
    content = to_plain({"a": np.float32(0.1), "b": np.int64(3), "c": np.bool_(True), "d": float("nan"), 1: [np.inf]})
    assert content == {"a": 0.1, "b": 3, "c": True, "d": None, "1": [None]}
    assert [type(content[key]) for key in "abc"] == [float, int, bool]
    assert to_plain(1 / 3) == 0.333333


def test_a_missing_field_is_an_error() -> None:
    with pytest.raises(KeyError):
        from_plain(Inner, {"value": 1})


def test_whole_numbers_come_back_as_floats_where_the_field_is_one() -> None:
    assert isinstance(from_plain(Inner, {"value": 1, "name": None}).value, float)
