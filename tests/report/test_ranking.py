from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.report.estimates import Estimate
from medt_pipeline.report.ranking import read_selection

ESTIMATE = {"value": 0.8, "low": 0.7, "high": 0.9}
CONTENT = {
    "format": 1,
    "members": [
        {"model": "a__b__2d", "configuration": "2d", "folds": [0, 1], "weight": 0.6},
        {"model": "a__b__2d_unet", "configuration": "2d_unet", "folds": [0, 1], "weight": 0.4},
    ],
    "quality": None,
    "postprocessing": {"version": 1, "smoothing_px": 0.0, "classes": {}},
    "postprocessing_trials": [{"label": "gland", "step": "fill holes", "gain": 0.01, "low": None, "taken": True}],
    "weights": "learned",
    "weights_gain": {"value": 0.01, "low": None, "high": None},
    "rule": "The best.",
    "ranking": [
        {
            "name": "2d + 2d_unet",
            "members": ["2d", "2d_unet"],
            "weights": [0.5, 0.5],
            "mean_dice": ESTIMATE,
            "behind_best": {**ESTIMATE, "share_below": 0.5},
            "seconds_per_image": 0.5,
        },
        {"name": "2d", "members": ["2d"], "weights": [1], "mean_dice": ESTIMATE, "behind_best": ESTIMATE},
    ],
}


def test_ranking_and_recipe_are_read(tmp_path: Path) -> None:
    (tmp_path / "inference.json").write_text(json.dumps(CONTENT))
    selection = read_selection(tmp_path)
    assert selection is not None
    assert [one.weight for one in selection.members] == [0.6, 0.4]
    assert [(row.name, row.chosen) for row in selection.ranking] == [("2d + 2d_unet", True), ("2d", False)]
    assert selection.ranking[0].dice == Estimate(0.8, 0.7, 0.9)
    assert math.isnan(selection.ranking[1].seconds)
    assert selection.weights_gain is not None
    assert math.isnan(selection.weights_gain.low)
    assert [(one.label, one.step, one.taken) for one in selection.trials] == [("gland", "fill holes", True)]


def test_none_where_it_was_not_selected(tmp_path: Path) -> None:
    assert read_selection(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"ranking": [{}]}, {"ranking": 3}, {"postprocessing_trials": [{}]}, {"weights_gain": 1}]
)
def test_another_file_is_refused(tmp_path: Path, change: dict) -> None:
    (tmp_path / "inference.json").write_text(json.dumps(CONTENT | change))
    with pytest.raises(UserError, match="run medt_find_best again"):
        read_selection(tmp_path)
