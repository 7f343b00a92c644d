from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.metrics import Counts
from medt_pipeline.evaluation.scores import Scores
from medt_pipeline.report.cases import Case, LabelScores, in_order, read_quality, read_scores

ROW = {
    "image": "a",
    "label": "gland",
    "case": "miss",
    "dice": 0.0,
    "iou": 0.0,
    "precision": None,
    "recall": 0.0,
    "tp": 0,
    "fp": 0,
    "fn": 5,
    "tn": 10,
}


def scored(name: str, **dice: float) -> Case:
    scores = {label: LabelScores(Scores(value, value / 2), "both", Counts(1, 1, 1, 1)) for label, value in dice.items()}
    return Case(name, Path(f"{name}.png"), scores=scores)


def test_the_dice_of_a_case_is_the_mean_of_its_classes() -> None:
    case = scored("a", nerve=0.5, vessel=0.9, rare=math.nan)
    assert case.dice == pytest.approx(0.7)
    assert case.iou == pytest.approx(0.35)
    assert math.isnan(scored("a", rare=math.nan).dice)
    assert math.isnan(Case("a", Path("a.png")).dice)


def test_the_worst_comes_first_and_the_unknown_last() -> None:
    cases = [scored("b", x=0.9), scored("a", x=math.nan), scored("c", x=0.1), scored("d", x=0.5)]
    order = in_order(cases)
    assert order.by == "Dice"
    assert [case.name for case in order.cases] == ["c", "d", "b", "a"]
    assert dict(order.marks) == {"c": "worst", "d": "median", "b": "best"}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_marks_name_the_ends_and_the_middle(values: list[float]) -> None:
    order = in_order([scored(f"{index:02}", x=value) for index, value in enumerate(values)])
    names, dice = [case.name for case in order.cases], [case.dice for case in order.cases]
    assert dice == sorted(values)
    marked = {word: [names.index(one) for one, its in order.marks.items() if its == word] for word in ("worst", "best")}
    count = len(marked["worst"])
    assert 1 <= count <= 3
    assert marked["worst"] == list(range(count))
    assert marked["best"] == [len(names) - 1 - index for index in range(len(marked["best"]))]
    median = [names.index(one) for one, word in order.marks.items() if word == "median"]
    assert all(abs(index - (len(names) - 1) / 2) <= 2 for index in median)
    assert len(order.marks) == min(len(names), 3 * count if len(names) >= 3 * count else len(names))


def test_without_truth_the_estimate_then_the_uncertainty_then_the_name_decides() -> None:
    plain = [Case(name, Path(name)) for name in ("b", "a")]
    assert [case.name for case in in_order(plain).cases] == ["a", "b"]
    assert in_order(plain).marks == {"a": "", "b": ""}
    uncertain = [Case(name, Path(name), mean_uncertainty=value) for name, value in (("a", 0.1), ("b", 0.4))]
    assert [case.name for case in in_order(uncertain).cases] == ["b", "a"]
    assert in_order(uncertain).marks["b"] == "most uncertain"
    estimated = [Case(name, Path(name), estimated_dice=value) for name, value in (("a", 0.9), ("b", 0.4))]
    assert in_order(estimated).by == "estimated Dice"
    assert in_order(estimated).marks == {"b": "lowest", "a": "highest"}


def test_scores_are_read_with_null_as_undefined(tmp_path: Path) -> None:
    rows = [{**ROW, "hd95": 3.5}, {**ROW, "label": "lumen", "dice": None, "case": "neither"}]
    (tmp_path / "scores.json").write_text(json.dumps({"images": rows, "distance_unit": "mm"}))
    file = read_scores(tmp_path / "scores.json")
    assert file.unit == "mm"
    found = file.by_case
    assert found["a"]["gland"].scores.hd95 == 3.5
    assert found["a"]["gland"].counts == Counts(0, 0, 5, 10)
    assert math.isnan(found["a"]["gland"].scores.precision)
    assert math.isnan(found["a"]["lumen"].scores.dice)
    assert Case("a", Path("a"), scores=found["a"]).remarks == ["gland: miss"]


@pytest.mark.parametrize("content", [{}, {"images": [{"image": "a"}]}, {"images": 3}, {"images": [{**ROW, "tp": "x"}]}])
def test_other_scores_are_refused(tmp_path: Path, content: dict) -> None:
    (tmp_path / "scores.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"scores\.json does not hold scores"):
        read_scores(tmp_path / "scores.json")


def test_quality_is_found_by_case_whatever_named_the_image(tmp_path: Path) -> None:
    file = tmp_path / "medt_quality.csv"
    assert read_quality(file) == {}
    file.write_text("image,estimated_dice,true_dice\n007,0.5,0.6\na.b.PNG,0.25,\nc.d,,\n")
    found = read_quality(file)
    assert found["007"] == 0.5
    assert found["a.b"] == 0.25
    assert math.isnan(found["c.d"])


@pytest.mark.parametrize("text", ["", "image,dice\na,1\n", "image,estimated_dice\na,x\n"])
def test_another_table_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "medt_quality.csv"
    file.write_text(text)
    with pytest.raises(UserError, match="is not a table of estimated Dice"):
        read_quality(file)
