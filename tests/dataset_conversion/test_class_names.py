"""Classes by name: their order, what is left out, and what is refused as doubtful."""

from __future__ import annotations

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.class_names import decide_classes


def names_of(found: dict[str, int], labels: str | None = None) -> tuple[list[str], dict[str, int]]:
    decision = decide_classes(found, labels, "shape")
    assert [label.value for label in decision.declared] == list(range(len(decision.declared)))
    return [label.name for label in decision.declared], dict(decision.label_of)


def test_the_order_is_that_of_the_source() -> None:
    assert names_of({"lumen": 3, "gland": 2}) == (["background", "lumen", "gland"], {"lumen": 1, "gland": 2})


def test_nothing_has_a_class() -> None:
    assert names_of({"": 7}) == (["background", "foreground"], {"": 1})
    assert names_of({"": 7}, "nucleus") == (["background", "nucleus"], {"": 1})


@pytest.mark.parametrize("name", ["background", "_background_", "Background"])
def test_background_erases(name: str) -> None:
    assert names_of({"a": 1, name: 2}) == (["background", "a"], {"a": 1, name: 0})


def test_labels_order_rename_unite_and_leave_out() -> None:
    found = {"Gland": 4, "glandular": 1, "lumen": 2, "Region*": 3, "": 1}
    assert names_of(found, "lumen, gland=Gland,gland=glandular") == (
        ["background", "lumen", "gland"],
        {"lumen": 1, "Gland": 2, "glandular": 2},
    )
    decision = decide_classes(found, "lumen,Gland", "shape")
    assert decision.ordered
    assert decision.notes == (
        "not in --labels, so left out: 1 shape of glandular, 3 shapes of Region*, 1 shape of no class",
    )
    assert not decide_classes({"a": 1}, None, "shape").ordered


def test_background_by_labels() -> None:
    assert names_of({"a": 1, "hole": 2}, "background=hole,a") == (["background", "a"], {"hole": 0, "a": 1})
    assert names_of({"a": 1}, "background,a") == (["background", "a"], {"background": 0, "a": 1})


@pytest.mark.parametrize(
    ("found", "labels", "message"),
    [
        ({}, None, "There is no shape in any file"),
        ({"a": 2, "": 1}, None, r"others none \(2 shapes of a, 1 shape of no class\).*--labels CLASS"),
        ({"a": 1, "Ignore*": 1}, None, r"'Ignore\*' is to be ignored"),
        ({"a": 1, "A": 1}, None, "upper and lower case only"),
        ({f"cell{number}": 1 for number in range(21)}, None, "There are 21 classes"),
        ({"a": 1, "b": 1}, "a,c", r"names c, which no file has; the files have 1 shape of a, 1 shape of b"),
        ({"a": 1}, "a,b=a", "a class twice"),
        ({"a": 1}, "ignore=a", "no name is 'ignore'"),
        ({"a": 1}, "=a", "must be a class or name=class"),
        ({"": 1}, "a,b", "names a, b, which no file has"),
    ],
)
def test_doubt_is_refused(found: dict[str, int], labels: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        decide_classes(found, labels, "shape")
