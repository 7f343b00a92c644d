from __future__ import annotations

import math
from pathlib import Path

import pytest

from medt_pipeline.evaluation.metrics import Counts, all_scores, empty_case
from medt_pipeline.report.cases import Case, LabelScores
from medt_pipeline.report.score_table import score_table


def case(name: str, group: str, **counts: tuple[int, int, int, int]) -> Case:
    scores = {}
    for label, numbers in counts.items():
        found = Counts(*numbers)
        scores[label] = LabelScores(*all_scores(found), kind=empty_case(found), counts=found)
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
    x, y = table.rows
    assert x.means["dice"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert x.means["precision"].value == pytest.approx((1 + 1 / 3) / 2)
    assert x.pooled is not None
    assert x.pooled.dice == pytest.approx(40 / (40 + 20 + 10))
    assert y.means["dice"].value == pytest.approx((0 + 0.75) / 2)
    assert y.kinds == {"neither": 1, "false alarm": 1, "both": 1}
    assert y.kinds["miss"] == 0
    # Image by image: 1, (0.5 + 0) / 2 and (0 + 0.75) / 2.
    assert table.together.means["dice"].value == pytest.approx((1 + 0.25 + 0.375) / 3)


def test_without_truth_there_is_no_table() -> None:
    assert score_table([Case("a", Path("a"))]) is None


def test_an_image_without_a_group_is_its_own() -> None:
    table = score_table([case("a", "", x=(1, 0, 0, 1)), case("b", "", x=(1, 1, 0, 1))])
    assert table is not None
    assert table.groups == 2
    assert not math.isnan(table.together.means["dice"].low)
