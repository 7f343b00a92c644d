import math

import numpy as np
import pytest

from medt_pipeline.evaluation.image_scores import ImagePair, Wanted, score_image
from medt_pipeline.evaluation.labels import make_labels
from medt_pipeline.evaluation.object_metrics import ObjectSums
from medt_pipeline.evaluation.scores import Scores, scores_of_sums
from medt_pipeline.evaluation.summary import summarise
from medt_pipeline.evaluation.surface_metrics import SurfaceSums

from .shapes import EMPTY, blobs

LABELS = make_labels({"gland": 1, "tumour": 2}, "here")
WANTED = Wanted(tolerance=1.0, objects=True, published_size=16)


def rows_of(*pairs, groups=None):
    groups = groups or [str(index) for index in range(len(pairs))]
    return [
        row
        for index, (pair, group) in enumerate(zip(pairs, groups, strict=True))
        for row in score_image(ImagePair(str(index), group, *pair), LABELS, WANTED)
    ]


PAIRS = [
    (blobs(1) * 1, blobs(1) ^ blobs(2, 1.5, 0.12)),
    (blobs(3) * 2, blobs(4) * 2),
    (EMPTY * 1, EMPTY * 1),
    (blobs(5) * 1, EMPTY * 1),
    (EMPTY * 1, blobs(6) * 1),
]
ROWS = rows_of(*PAIRS)


def test_pooled_scores_are_those_of_the_sums_and_means_those_of_defined_values():
    (gland, tumour), over = summarise(ROWS, LABELS.foreground)
    for one in (gland, tumour):
        own = [row for row in ROWS if row.label == one.label]
        surface = SurfaceSums(*np.sum([row.surface for row in own], 0))
        objects = ObjectSums(*np.sum([row.objects for row in own], 0))
        assert one.pooled == pytest.approx(scores_of_sums(one.counts, surface, objects), nan_ok=True)
        table = np.array([row.scores for row in own])
        for name, column in zip(Scores._fields, table.T, strict=True):
            defined = column[~np.isnan(column)]
            assert getattr(one.images, name) == len(defined)
            assert getattr(one.mean, name) == pytest.approx(defined.mean() if len(defined) else math.nan, nan_ok=True)
    assert gland.cases == {"both": 1, "neither": 2, "false alarm": 1, "miss": 1}
    assert tumour.cases == {"both": 1, "neither": 4, "false alarm": 0, "miss": 0}
    assert over.mean.dice == pytest.approx((gland.mean.dice + tumour.mean.dice) / 2)
    assert over.pooled.aji == pytest.approx((gland.pooled.aji + tumour.pooled.aji) / 2)


def test_intervals_hold_the_value_and_the_two_ways_differ():
    rng = np.random.default_rng(0)
    pairs = [(blobs(seed) * 1, (blobs(seed) ^ (rng.random((40, 56)) < 0.05)) * 1) for seed in range(12)]
    (gland, _), over = summarise(rows_of(*pairs), LABELS.foreground)
    for values, (low, high) in ((gland.mean, gland.mean_interval), (gland.pooled, gland.pooled_interval)):
        for name in ("dice", "iou", "precision", "recall", "assd", "surface_dice", "object_dice", "aji"):
            assert getattr(low, name) < getattr(values, name) < getattr(high, name), name
    assert gland.pooled_interval.low.dice != gland.mean_interval.low.dice
    assert over.mean_interval.low.dice == pytest.approx(gland.mean_interval.low.dice)  # tumour has no value
    assert math.isnan(gland.pooled_interval.low.hd95)
    assert gland.mean_interval.low.hd95 < gland.mean.hd95


def test_one_patient_has_no_interval():
    (gland, _), _ = summarise(rows_of(*PAIRS, groups=["p"] * 5), LABELS.foreground)
    assert all(math.isnan(value) for end in gland.mean_interval for value in end)
    assert not math.isnan(gland.mean.dice)


def test_published_protocol_counts_what_it_hides():
    (gland, _), _ = summarise(ROWS, LABELS.foreground)
    published = gland.published
    assert published.without_hit == {"both": 0, "neither": 2, "false alarm": 1, "miss": 1}
    assert published.images == 5
    (first, *_) = [row.published for row in ROWS if row.label == "gland"]
    dice = 2 * first.tp / (2 * first.tp + first.fp + first.fn)
    assert published.f1 == pytest.approx((dice + 4) / 5)
    assert published.iou == pytest.approx((first.tp / (first.tp + first.fp + first.fn) + 4) / 5)
    assert published.f1_by_our_rule == pytest.approx(dice / 3)


def test_nothing_published_where_it_was_not_asked_for():
    rows = score_image(ImagePair("a", "a", *PAIRS[0]), LABELS)
    assert summarise(rows, LABELS.foreground)[0][0].published is None
