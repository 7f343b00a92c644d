from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from medt_pipeline.planning.schema import frozen, keys_of, mistakes, within


@dataclass(frozen=True)
class Drink:
    cups: int = field(metadata=within(1, 9))
    litres: Mapping[Literal["hot", "cold"], float] = field(metadata=within(0, above=True))
    milk: bool = False
    kind: Literal["tea", "coffee"] = "tea"
    sugars: tuple[int, ...] = field(default=(), metadata=within(0, distinct=True))
    tray: tuple[int, int] | None = None
    note: str = "x"
    shop: str | None = field(default=None, metadata=within(choices=("here", "there")))


GOOD: dict[str, Any] = {"cups": 2, "litres": {"hot": 1, "cold": 0.5}}


def test_what_is_allowed_in_words() -> None:
    assert {name: key.words() for name, key in keys_of(Drink).items()} == {
        "cups": "a whole number of at least 1 and at most 9",
        "litres": "an object with the keys hot, cold, each a number above 0",
        "milk": "true or false",
        "kind": "one of tea, coffee",
        "sugars": "a list without repetition, each entry a whole number of at least 0",
        "tray": "a list of 2, each a whole number, or null",
        "note": "a text",
        "shop": "one of here, there, or null",
    }
    assert [name for name, key in keys_of(Drink).items() if key.required] == ["cups", "litres"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"tray": [1, 2], "sugars": [3, 0], "milk": True, "shop": "here"}, []),
        ({"tray": None, "shop": None}, []),
        ({"cups": 0}, ["`cups` must be a whole number of at least 1 and at most 9, got 0"]),
        ({"cups": 10}, ["`cups` must be a whole number of at least 1 and at most 9, got 10"]),
        ({"cups": 2.0}, ["`cups` must be a whole number of at least 1 and at most 9, got 2.0"]),
        ({"cups": True}, ["`cups` must be a whole number of at least 1 and at most 9, got true"]),
        (
            {"litres": {"hot": 0, "warm": 1}},
            [
                "`litres.warm` is not a key; the keys are hot, cold",
                "`litres.hot` must be a number above 0, got 0",
                "`litres.cold` is missing; it must be a number above 0",
            ],
        ),
        ({"litres": 3}, ["`litres` must be an object with the keys hot, cold, each a number above 0, got 3"]),
        (
            {"litres": {"hot": float("nan"), "cold": float("inf")}},
            [
                "`litres.hot` must be a number above 0, got nan",
                "`litres.cold` must be a number above 0, got inf",
            ],
        ),
        ({"milk": 1}, ["`milk` must be true or false, got 1"]),
        ({"kind": "Tea"}, ["`kind` must be one of tea, coffee, got 'Tea'"]),
        (
            {"sugars": [1, 1]},
            ["`sugars` must be a list without repetition, each entry a whole number of at least 0, got [1, 1]"],
        ),
        ({"tray": [1]}, ["`tray` must be a list of 2, each a whole number, or null, got [1]"]),
        ({"tray": "12"}, ["`tray` must be a list of 2, each a whole number, or null, got '12'"]),
        ({"note": None}, ["`note` must be a text, got null"]),
        ({"shop": "nowhere"}, ["`shop` must be one of here, there, or null, got 'nowhere'"]),
        ({"cup": 1}, ["`cup` is not a key (did you mean `cups`?)"]),
        ({"zzz": 1}, ["`zzz` is not a key; the keys are cups, litres, milk, kind, sugars, tray, note, shop"]),
    ],
)
def test_every_mistake_is_a_sentence(changes: dict[str, Any], expected: list[str]) -> None:
    assert mistakes(Drink, {**GOOD, **changes}) == expected


def test_all_mistakes_together() -> None:
    found = mistakes(Drink, {"cups": "two", "kind": 3, "tee": 1})
    assert len(found) == 4
    assert "`litres` is missing; it must be an object with the keys hot, cold, each a number above 0" in found


@pytest.mark.parametrize("content", [None, [], "x", 3])
def test_what_is_no_object(content: object) -> None:
    assert mistakes(Drink, content)[0].startswith("it must be an object with the keys cups, ")


def test_long_values_are_cut() -> None:
    assert mistakes(Drink, {**GOOD, "cups": "x" * 200})[0].endswith("xxx…")


def test_lists_become_tuples() -> None:
    assert frozen([1, [2, 3]]) == (1, (2, 3))
    assert frozen({"a": 1}) == {"a": 1}
