from __future__ import annotations

import base64
import math
from pathlib import Path
from xml.etree.ElementTree import Element

import defusedxml.ElementTree as ElementTree
import pytest

from medt_pipeline.evaluation.quality import Quality
from medt_pipeline.report.cases import ScoreFile
from medt_pipeline.report.charts import Chart, curve_charts, dice_chart, quality_chart, ranking_chart
from medt_pipeline.report.estimates import Estimate
from medt_pipeline.report.folds import TrainedFold
from medt_pipeline.report.ranking import RankedRow

EVIL = "$x_1$ <script>alert(1)</script> & \\frac"
SVG = "{http://www.w3.org/2000/svg}"


def svg_of(uri: str) -> Element:
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:image/svg+xml"
    return ElementTree.fromstring(base64.b64decode(data))


def words_of(chart: Chart) -> list[str]:
    return ["".join(one.itertext()) for one in svg_of(chart.light).iter(f"{SVG}text")]


def fold(number: int, epochs: int) -> TrainedFold:
    values = [1 / (epoch + 1) for epoch in range(epochs)]
    names = ("epoch", "training_loss", "validation_loss", "pseudo_dice_moving_average")
    curves = dict.fromkeys(names, values) | {"epoch": list(range(epochs))}
    return TrainedFold("2d", number, Path("x"), curves, {}, ScoreFile())


def test_curves_name_their_folds() -> None:
    loss, dice = curve_charts([fold(0, 5), fold(3, 7), fold(4, 0)])
    assert {"fold 0", "fold 3", "epoch", "loss"} <= set(words_of(loss))
    assert "fold 4" not in words_of(dice)
    assert "folds 0, 3" in loss.alt
    assert curve_charts([fold(4, 0)]) == []


def test_names_are_text_and_no_formula_and_no_markup() -> None:
    row = RankedRow(EVIL, Estimate(0.8, 0.7, 0.9), Estimate(0.0), 1.0, chosen=True)
    for chart in (ranking_chart([row]), dice_chart({EVIL: [0.5, math.nan, 0.75]})):
        assert any(word.startswith("$x_1$ <script>") for word in words_of(chart))
        assert not [one for one in svg_of(chart.light).iter() if one.tag == f"{SVG}script"]


def test_light_and_dark_differ_in_ink_alone() -> None:
    chart = dice_chart({"gland": [0.5, 0.75]})
    light, dark = (base64.b64decode(uri.partition(",")[2]).decode() for uri in (chart.light, chart.dark))
    assert "#1f2328" in light
    assert "#1f2328" not in dark
    assert words_of(chart) == ["".join(one.itertext()) for one in svg_of(chart.dark).iter(f"{SVG}text")]


def test_two_runs_give_the_same_bytes() -> None:
    assert dice_chart({"gland": [0.5, 0.75]}) == dice_chart({"gland": [0.5, 0.75]})


@pytest.mark.parametrize("values", [[], [math.nan], [0.0], [1.0] * 300])
def test_extreme_scores_are_drawn(values: list[float]) -> None:
    assert "gland" in words_of(dice_chart({"gland": values}))


def test_the_ranking_shows_the_first_and_cuts_long_names() -> None:
    rows = [RankedRow(f"{number:02} {'x' * 40}", Estimate(0.5), Estimate(0.1), 1.0, False) for number in range(40)]
    words = words_of(ranking_chart(rows))
    assert any(word.startswith("00 x") for word in words)
    assert not any(word.startswith("20 x") for word in words)
    assert max(len(word) for word in words if "x" * 5 in word) == 28


def test_quality_states_the_correlation() -> None:
    chart = quality_chart([0.5, 0.8], [0.6, 0.9], Quality(1, 0, 0.75, 0.7, 0.1, 20))
    assert "correlation 0.75" in chart.alt
