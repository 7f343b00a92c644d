from __future__ import annotations

import math

import numpy as np
import pytest

from medt_pipeline.evaluation.score_records import interval_record, plain_number, with_intervals
from medt_pipeline.evaluation.statistics import Interval


def test_means_are_those_of_defined_images_and_classes() -> None:
    nan = math.nan
    by_class = {
        "a": np.array([[0.8, 0.6], [0.4, 0.2], [nan, nan]]),
        "b": np.array([[nan, nan], [0.6, 0.4], [1.0, 1.0]]),
    }
    record = with_intervals(by_class, ["p1", "p2", "p3"])
    assert record["by_class"]["a"]["dice"]["value"] == pytest.approx(0.6)
    assert record["by_class"]["b"]["iou"]["value"] == pytest.approx(0.7)
    # images: 0.8, 0.5 and 1.0
    assert record["mean_dice"]["value"] == pytest.approx(2.3 / 3, abs=1e-6)
    assert record["mean_dice"]["low"] < 2.3 / 3 < record["mean_dice"]["high"]
    assert (record["images"], record["groups"]) == (3, 3)


def test_one_group_has_no_interval_and_nan_is_null() -> None:
    record = with_intervals({"a": np.array([[0.5, 0.25], [0.7, 0.5]])}, ["p", "p"])
    assert record["mean_dice"] == {"value": 0.6, "low": None, "high": None}
    assert plain_number(math.nan) is None
    assert interval_record(1 / 3, Interval(0, 1)) == {"value": 0.333333, "low": 0.0, "high": 1.0}
