from __future__ import annotations

import pytest

from medt_pipeline.core.cases import Case
from tests.benchmarks.contest_splits import splits_for

PLANNED = [{"train": [f"t{number}" for number in range(12)], "val": ["v0"]}, {"train": ["v0"], "val": ["t0"]}]


def test_few_images_are_nested_and_the_held_out_stay() -> None:
    three, five = (splits_for(f"{count} images", PLANNED, {}, {})[0] for count in (3, 5))
    assert (len(three["train"]), len(five["train"])) == (3, 5)
    assert set(three["train"]) < set(five["train"]) < set(PLANNED[0]["train"])
    assert three["val"] == five["val"] == ["v0"]
    assert splits_for("all", PLANNED, {}, {}) == PLANNED


def test_another_kind_is_scored_and_no_patient_is_on_both_sides() -> None:
    grades = {"a": "benign", "b": "malignant", "c": "benign", "d": "benign", "e": "other"}
    cases = {name: Case(name, f"{name}.png", facts={"grade": grade}) for name, grade in grades.items()}
    cases["f"] = Case("f", "f.png")
    groups = {"a": "1", "b": "2", "c": "2", "d": "3", "e": "4", "f": "5"}
    assert splits_for("grade: benign to malignant", PLANNED, cases, groups) == [{"train": ["a", "d"], "val": ["b"]}]
    assert splits_for("grade: others to malignant", PLANNED, cases, groups) == [
        {"train": ["a", "d", "e"], "val": ["b"]}
    ]


@pytest.mark.parametrize(
    ("training", "message"), [("some", "got 'some'"), ("grade: a to b", "no images"), ("0 images", "no images")]
)
def test_what_leaves_nothing_is_refused(training: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        splits_for(training, PLANNED, {}, {})
