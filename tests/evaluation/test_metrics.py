import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from medt_pipeline.evaluation.metrics import (
    Counts,
    add_counts,
    count_pixels,
    dice,
    empty_case,
    iou,
    precision,
    ratio,
    recall,
)

SCORES = (dice, iou, precision, recall)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)
LABEL_MAPS = SHAPES.flatmap(lambda shape: st.tuples(*[hnp.arrays(np.uint8, shape, elements=st.integers(0, 3))] * 2))


def _reference_iou(reference, prediction, zero_division):
    """scikit-learn's, which knows no NaN for 0/0."""
    return jaccard_score(reference, prediction) if (reference | prediction).any() else zero_division


@pytest.mark.parametrize(
    ("score", "reference_score"),
    [(dice, f1_score), (iou, _reference_iou), (precision, precision_score), (recall, recall_score)],
    ids=lambda function: function.__name__,
)
@given(maps=LABEL_MAPS, label=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_scores_equal_scikit_learn(score, reference_score, maps, label):
    reference, prediction = maps
    expected = reference_score((reference == label).ravel(), (prediction == label).ravel(), zero_division=np.nan)
    assert score(count_pixels(reference, prediction, label)) == pytest.approx(float(expected), nan_ok=True)


@given(maps=LABEL_MAPS, label=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_counts_cover_every_pixel_once(maps, label):
    reference, prediction = maps
    counts = count_pixels(reference, prediction, label)
    assert sum(counts) == reference.size
    assert counts.tp + counts.fn == (reference == label).sum()
    assert counts.tp + counts.fp == (prediction == label).sum()


def test_worked_example():
    reference = np.array([[1, 1, 1, 0], [2, 2, 0, 0]])
    prediction = np.array([[1, 1, 0, 1], [2, 0, 0, 0]])
    counts = count_pixels(reference, prediction, label=1)
    assert counts == Counts(tp=2, fp=1, fn=1, tn=4)
    assert [score(counts) for score in SCORES] == [4 / 6, 2 / 4, 2 / 3, 2 / 3]
    assert [score(count_pixels(reference, prediction, label=2)) for score in SCORES] == [2 / 3, 1 / 2, 1.0, 1 / 2]


@pytest.mark.parametrize(
    ("counts", "case", "expected"),
    [
        (Counts(0, 0, 0, 9), "neither", (math.nan, math.nan, math.nan, math.nan)),
        (Counts(0, 2, 0, 7), "false alarm", (0.0, 0.0, 0.0, math.nan)),
        (Counts(0, 0, 2, 7), "miss", (0.0, 0.0, math.nan, 0.0)),
        (Counts(0, 2, 2, 5), "both", (0.0, 0.0, 0.0, 0.0)),
        (Counts(9, 0, 0, 0), "both", (1.0, 1.0, 1.0, 1.0)),
    ],
    ids=["neither", "false_alarm", "miss", "no_overlap", "everything"],
)
def test_empty_cases(counts, case, expected):
    assert empty_case(counts) == case
    assert [score(counts) for score in SCORES] == pytest.approx(expected, nan_ok=True)


def test_counts_do_not_overflow_small_integer_types():
    full = np.ones((300, 300), np.uint8)
    assert count_pixels(full, full, 1) == Counts(90000, 0, 0, 0)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        count_pixels(np.zeros((2, 3)), np.zeros((3, 2)), 1)


def test_scores_of_arrays_are_the_scores_of_each_entry():
    rows = [Counts(0, 0, 0, 9), Counts(0, 2, 0, 7), Counts(0, 0, 2, 7), Counts(3, 1, 2, 3)]
    for score in SCORES:
        np.testing.assert_array_equal(score(Counts(*np.array(rows, float).T)), [score(row) for row in rows])


def test_ratio():
    assert ratio(1, 4) == 0.25
    assert math.isnan(ratio(1, 0))
    np.testing.assert_array_equal(ratio(np.array([1, 0]), np.array([4, 0])), [0.25, math.nan])


def test_added_counts_are_those_of_one_large_image():
    rng = np.random.default_rng(0)
    reference, prediction = rng.integers(0, 2, (2, 6, 5))
    halves = [count_pixels(reference[rows], prediction[rows], 1) for rows in (slice(0, 2), slice(2, 6))]
    assert add_counts(halves) == count_pixels(reference, prediction, 1)
    assert add_counts([]) == Counts(0, 0, 0, 0)
