import math

import pytest

from medt_pipeline.evaluation import object_metrics
from medt_pipeline.evaluation.metrics import Counts
from medt_pipeline.evaluation.object_metrics import sum_objects
from medt_pipeline.evaluation.scores import (
    OBJECT_SCORES,
    PIXEL_SCORES,
    SURFACE_SCORES,
    TITLES,
    Scores,
    mean_scores,
    scores_of_sums,
)
from medt_pipeline.evaluation.surface_metrics import SurfaceSums

from .shapes import drawn

NAN = math.nan


def test_every_score_has_a_family_and_a_title():
    assert (*PIXEL_SCORES, *SURFACE_SCORES, *OBJECT_SCORES) == Scores._fields == tuple(TITLES)


def test_each_family_comes_from_its_sums():
    counts, surface = Counts(2, 1, 1, 4), SurfaceSums(outline=10, within=8, measured=5, distance=10.0)
    objects = sum_objects(drawn((0, 5, 0, 5), (9, 12, 9, 12)), drawn((0, 5, 0, 6)))
    scores = scores_of_sums(counts, surface, objects, hd95=7.0)
    assert scores[:7] == pytest.approx((4 / 6, 2 / 4, 2 / 3, 2 / 3, 7.0, 2.0, 0.8))
    assert scores[7:] == tuple(getattr(object_metrics, name)(objects) for name in OBJECT_SCORES)
    alone = scores_of_sums(counts)
    assert alone[:4] == scores[:4]
    assert all(map(math.isnan, alone[4:]))


def test_mean_leaves_undefined_values_out():
    rows = [Scores(0.5, 0.25, NAN, 0.0), Scores(1.0, NAN, NAN, 0.5)]
    assert mean_scores(rows)[:4] == pytest.approx((0.75, 0.25, NAN, 0.25), nan_ok=True)
    assert all(math.isnan(value) for value in mean_scores([]))
