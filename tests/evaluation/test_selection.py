from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.evaluation.metrics import count_pixels
from medt_pipeline.evaluation.metrics import dice as dice_of_counts
from medt_pipeline.evaluation.selection import (
    Candidate,
    candidates_of,
    choose,
    choose_weights,
    dice_of_candidates,
    mean_of_classes,
    rank,
    weightings_of,
)

PATIENTS = [f"patient{i // 2}" for i in range(40)]
RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.05, 40)


def test_candidates_are_all_models_pairs_and_triples() -> None:
    names = [one.name for one in candidates_of(["a", "b", "c", "d"])]
    assert len(names) == 4 + 6 + 4
    assert {"a", "b + d", "a + b + c"} <= set(names)


@given(st.integers(2, 3))
def test_weightings_add_up_to_one_and_begin_with_equal_ones(members: int) -> None:
    equal = Candidate(tuple("abc"[:members]), (1 / members,) * members)
    found = weightings_of(equal)
    assert found[0] is equal
    assert len({one.weights for one in found}) == len(found)
    for one in found:
        assert sum(one.weights) == pytest.approx(1)
        assert min(one.weights) > 0


@given(st.integers(2, 4), st.integers(0, 10**6))
def test_dice_of_an_average_equals_that_of_its_mask(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = {name: rng.dirichlet(np.ones(classes), (7, 9)).transpose(2, 0, 1) for name in "ab"}
    reference = rng.integers(0, classes + 1, (7, 9))  # the last value is to be ignored
    candidates = [Candidate(("a",), (1.0,)), Candidate(("a", "b"), (0.3, 0.7))]
    found = dice_of_candidates(probabilities, reference, candidates, ignore=classes)
    counted = reference != classes
    for row, mean in zip(found, (probabilities["a"], 0.3 * probabilities["a"] + 0.7 * probabilities["b"]), strict=True):
        labels = mean.argmax(0)
        for label in range(1, classes):
            expected = dice_of_counts(count_pixels(reference[counted], labels[counted], label))
            assert row[label - 1] == pytest.approx(expected, nan_ok=True)


def test_mean_of_classes_leaves_out_what_is_not_defined() -> None:
    values = np.array([[0.5, np.nan], [np.nan, np.nan], [0.2, 0.4]])
    assert mean_of_classes(values) == pytest.approx([0.5, np.nan, 0.3], nan_ok=True)


def ranked(gain: float, costs: dict[str, float]):
    """Model b is `gain` better than model a in each image, give or take; their average lies between."""
    a = 0.8 + NOISE
    b = a + gain + RNG.normal(0, 0.01, 40)
    candidates = candidates_of(["a", "b"])
    return rank(np.stack([a, b, (a + b) / 2], axis=1), candidates, PATIENTS, costs)


def test_a_surely_better_model_wins_whatever_it_costs() -> None:
    ranking = ranked(0.05, {"a": 1, "b": 100})
    assert [one.candidate.name for one in ranking] == ["b", "a + b", "a"]
    assert choose(ranking).candidate.name == "b"
    assert ranking[-1].behind_best.value == pytest.approx(0.05, abs=0.01)
    assert ranking[0].interval.low < ranking[0].value < ranking[0].interval.high


def test_level_models_are_decided_by_cost() -> None:
    assert choose(ranked(0.0003, {"a": 1, "b": 2})).candidate.name == "a"
    assert choose(ranked(0.0003, {"a": 2, "b": 1})).candidate.name == "b"


def test_one_patient_says_nothing_so_the_cheapest_is_taken() -> None:
    dice = np.array([[0.5, 0.9], [0.5, 0.9]])
    ranking = rank(dice, [Candidate(("a",), (1.0,)), Candidate(("b",), (1.0,))], ["p", "p"], {"a": 1, "b": 2})
    assert ranking[0].candidate.name == "b"
    assert choose(ranking).candidate.name == "a"


def test_weights_are_learned_only_where_they_win_on_other_cases() -> None:
    weightings = weightings_of(Candidate(("a", "b"), (0.5, 0.5)))
    best = next(i for i, one in enumerate(weightings) if one.weights == (0.8, 0.2))
    folds = [i % 5 for i in range(40)]
    noise = np.random.default_rng(1).normal(0, 0.02, (40, len(weightings)))
    no_difference = 0.8 + NOISE[:, None] + noise
    chosen, gain = choose_weights(no_difference, weightings, PATIENTS, folds)
    assert chosen is weightings[0]
    better = no_difference.copy()
    better[:, best] += 0.05
    chosen, gain = choose_weights(better, weightings, PATIENTS, folds)
    assert chosen.weights == (0.8, 0.2)
    assert gain.value == pytest.approx(0.05, abs=0.02)
    assert chosen.name == "0.8 a + 0.2 b"
