from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.report.cases import Case, Region
from medt_pipeline.report.review_queue import certainty, review_queue


def case(name: str, dice: float = math.nan, sure: float = math.nan, parts: int = 1, doubt: float = math.nan) -> Case:
    regions = {"gland": Region(0.1 * parts, parts)}
    return Case(name, Path(f"{name}.png"), regions=regions, estimated_dice=dice, certainty=sure, mean_uncertainty=doubt)


def names(cases: list[Case], **options) -> list[str]:
    return [one.name for one in review_queue(cases, **options).cases]


def test_estimated_dice_ranks_and_empty_masks_have_their_place() -> None:
    cases = [
        case("a", 0.9),
        case("b", 0.2),
        case("unknown", sure=0.1),
        case("hole", parts=0, doubt=0.1),
        case("calm", parts=0, doubt=0.01),
        case("c", 0.5),
    ]
    assert names(cases) == ["hole", "calm", "b", "c", "a", "unknown"]
    assert names(cases, empty="last") == ["b", "c", "a", "unknown", "hole", "calm"]
    queue = review_queue(cases, 3, unlike={"b": "darker"})
    assert (queue.by, queue.of) == ("estimated Dice", 6)
    assert [(one.rank, one.reason) for one in queue.cases] == [
        (1, "empty mask"),
        (2, "empty mask"),
        (3, "estimated Dice 0.200; unlike the training images: darker"),
    ]
    assert review_queue(cases).cases[-1].reason == "no estimated Dice"


def test_certainty_ranks_where_no_dice_is_estimated() -> None:
    queue = review_queue([case("a", sure=0.5), case("b", sure=0.9), case("c", sure=0.5)])
    assert queue.by == "certainty"
    assert [one.name for one in queue.cases] == ["a", "c", "b"]
    assert queue.quality(queue.cases[0]) == 0.5


def test_without_any_number_one_sentence_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"tells which are doubtful; predict again with --uncertainty"):
        review_queue([case("a"), case("b", parts=0)])
    assert names([case("b", parts=0), case("a", parts=0)]) == ["a", "b"]


scores = st.one_of(st.just(math.nan), st.floats(0, 1))


@given(st.lists(st.tuples(scores, scores, st.integers(0, 2)), min_size=1), st.sampled_from(["first", "last"]))
def test_every_case_has_one_rank_and_numbers_ascend(facts: list[tuple[float, float, int]], empty: str) -> None:
    cases = [case(f"{number:03}", *one) for number, one in enumerate(facts)] + [case("known", 0.5, 0.5)]
    queue = review_queue(cases, empty=empty)
    assert sorted(one.name for one in queue.cases) == sorted(one.name for one in cases)
    assert [one.rank for one in queue.cases] == list(range(1, len(cases) + 1))
    blank = [one.is_empty for one in queue.cases]
    assert blank == sorted(blank, reverse=empty == "first")
    qualities = [queue.quality(one) for one in queue.cases if not one.is_empty]
    finite = [one for one in qualities if not math.isnan(one)]
    assert qualities[: len(finite)] == sorted(finite)


def test_certainty_of_drawn_masks() -> None:
    mask = np.zeros((4, 5), np.uint8)
    mask[1:3, 1:4] = 2
    doubt = np.zeros((4, 5))
    assert certainty(doubt, mask) == 1
    doubt[0] = 0.6  # 3 in all, beside 6 pixels of the mask
    assert certainty(doubt, mask) == pytest.approx(6 / 9)
    doubt[1:3, 1:4] = 1.0
    assert certainty(doubt, mask) == pytest.approx(6 / 15)
    assert math.isnan(certainty(doubt, np.zeros_like(mask)))
