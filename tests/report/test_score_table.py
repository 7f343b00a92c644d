from __future__ import annotations

import math
from pathlib import Path

import pytest

from medt_pipeline.evaluation.metrics import Counts, empty_case
from medt_pipeline.evaluation.scores import Scores, scores_of_sums
from medt_pipeline.report.cases import Case, LabelScores
from medt_pipeline.report.score_table import score_table


def case(name: str, group: str, **counts: tuple[int, int, int, int]) -> Case:
    scores = {}
    for label, numbers in counts.items():
        found = Counts(*numbers)
        scores[label] = LabelScores(scores_of_sums(found), empty_case(found), found)
    return Case(name, Path(name), resampled_with=group, scores=scores)


def test_means_pooled_scores_and_kinds() -> None:
    cases = [
        case("a", "p1", x=(10, 0, 0, 90), y=(0, 0, 0, 100)),
        case("b", "p1", x=(10, 20, 0, 70), y=(0, 5, 0, 95)),
        case("c", "p2", x=(0, 0, 10, 90), y=(30, 10, 10, 50)),
    ]
    table = score_table(cases)
    assert table is not None
    assert (table.images, table.groups) == (3, 2)
    assert [row.title for row in table.rows] == ["Dice", "IoU", "precision", "recall"]
    dice, _, precision, _ = table.rows
    assert dice.by_class["x"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert precision.by_class["x"].value == pytest.approx((1 + 1 / 3) / 2)
    assert precision.together is None
    assert table.pooled["x"].dice == pytest.approx(40 / (40 + 20 + 10))
    assert dice.by_class["y"].value == pytest.approx((0 + 0.75) / 2)
    assert table.kinds["y"] == {"neither": 1, "false alarm": 1, "both": 1}
    assert table.kinds["y"]["miss"] == 0
    # Image by image: 1, (0.5 + 0) / 2 and (0 + 0.75) / 2.
    assert table.dice.value == pytest.approx((1 + 0.25 + 0.375) / 3)
    assert dice.together == table.dice


def test_without_truth_there_is_no_table() -> None:
    assert score_table([Case("a", Path("a"))]) is None


def test_an_image_without_a_group_is_its_own() -> None:
    table = score_table([case("a", "", x=(1, 0, 0, 1)), case("b", "", x=(1, 1, 0, 1))])
    assert table is not None
    assert table.groups == 2
    assert not math.isnan(table.dice.low)
    assert table.rows[0].together is None, "of a single class there is nothing to average"


def test_distances_state_their_unit_and_tolerance() -> None:
    found = LabelScores(Scores(hd95=3.0, surface_dice=0.5), "both", Counts(1, 0, 0, 0))
    table = score_table([Case("a", Path("a"), scores={"x": found})], "mm", "2 px")
    assert table is not None
    assert [row.title for row in table.rows] == ["HD95 (mm)", "surface Dice (within 2 px)"]
