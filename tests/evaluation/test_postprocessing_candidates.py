import math

import pytest

from medt_pipeline.evaluation.postprocessing_candidates import (
    candidate_smoothings,
    candidate_splittings,
    candidate_steps,
)
from medt_pipeline.postprocessing.steps import STEPS

DISC = math.pi * 32**2 / 4 * 16
"""Area of a disc of diameter 128."""


def test_parameters_are_shares_of_the_median_object():
    steps = candidate_steps(DISC)
    amounts = {name: [step.amount for step in steps if step.name == name] for name in STEPS}
    assert amounts["remove_small_objects"] == [201.0, 804.0, 1608.0, 3217.0]
    assert amounts["fill_holes"] == [201.0, 804.0, 1608.0, 3217.0, 1e9]
    assert amounts["open"] == amounts["close"] == [4.0, 8.0, 16.0]
    assert amounts["keep_largest"] == [0.0]
    assert candidate_smoothings(DISC) == [2.0, 4.0, 8.0]
    assert [(one.depth, one.smoothing) for one in candidate_splittings(DISC)] == [
        *((4.0, 0.0), (8.0, 0.0), (16.0, 0.0), (32.0, 0.0)),
        *((4.0, 4.0), (8.0, 4.0), (16.0, 4.0), (32.0, 4.0)),
    ]


def test_kinds_that_are_done_are_left_out():
    assert {step.name for step in candidate_steps(DISC, {"open", "fill_holes"})} == set(STEPS) - {"open", "fill_holes"}
    assert candidate_steps(DISC, set(STEPS)) == []


@pytest.mark.parametrize("area", [1.0, 3.0, 20.0])
def test_tiny_objects_give_few_but_possible_candidates(area):
    steps = candidate_steps(area)
    assert len(set(steps)) == len(steps)
    assert {step.name for step in steps} == set(STEPS)
    assert candidate_splittings(area)
    assert candidate_smoothings(area)[0] == 0.5
