from __future__ import annotations

import math
from pathlib import Path

from medt_pipeline.evaluation.metrics import Counts
from medt_pipeline.evaluation.scores import Scores
from medt_pipeline.report.case_table import case_table
from medt_pipeline.report.cases import Case, LabelScores, Region, in_order


def scores(dice: float, kind: str = "both") -> LabelScores:
    return LabelScores(Scores(dice, dice), kind, Counts(1, 0, 0, 0))


def test_columns_that_nobody_fills_are_left_out() -> None:
    table = case_table(in_order([Case("a", Path("a"), group="a", scores={"x": scores(0.5)})]))
    assert [column.title for column in table.columns] == ["Case", "Dice", "IoU"]
    assert [cell.text for cell in table.rows[0].cells] == ["a", "0.500", "0.500"]
    assert [column.sorted for column in table.columns] == [None, "ascending", None]


def test_all_columns_of_a_cross_validation() -> None:
    first = Case(
        "b",
        Path("b"),
        group="p1",
        fold=0,
        scores={"nerve": scores(0.0, "false alarm"), "vessel": scores(math.nan, "neither")},
        estimated_dice=0.25,
        mean_uncertainty=0.5,
    )
    table = case_table(in_order([first, Case("a", Path("a"), group="p1", fold=1)]))
    titles = [column.title for column in table.columns]
    assert titles == ["Case", "Group", "Fold", "Dice", "IoU", "Dice nerve", "Estimated Dice", "Uncertainty", "Remarks"]
    row = dict(zip(titles, table.rows[0].cells, strict=True))
    assert row["Remarks"].text == "nerve: false alarm"
    assert row["Fold"].value == "0"
    unknown = dict(zip(titles, table.rows[1].cells, strict=True))["Dice"]
    assert (unknown.text, unknown.value) == ("–", "")
    assert table.limit is not None
    assert titles[table.limit.column] == "Dice"
    assert table.limit.direction == "most"


def test_masks_without_truth_have_areas_and_parts() -> None:
    cases = [
        Case(name, Path(name), regions={"gland": Region(share, 3)}, mean_uncertainty=share)
        for name, share in (("a", 0.25), ("b", 0.5))
    ]
    table = case_table(in_order(cases))
    assert [column.title for column in table.columns] == ["Case", "Area gland", "Parts gland", "Uncertainty"]
    assert [cell.text for cell in table.rows[0].cells] == ["b", "50.0%", "3", "0.500"]
    assert [column.sorted for column in table.columns][-1] == "descending"
    assert table.limit is not None
    assert table.limit.direction == "least"
