from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.planning.rules.folds import choose_folds

Groups = dict[str, str]
Content = dict[str, dict[str, float]]


@st.composite
def drawn_sets(draw: st.DrawFn) -> tuple[Groups, Content]:
    cases = [f"case{i:02d}" for i in range(draw(st.integers(1, 40)))]
    groups = {case: draw(st.sampled_from("abcdefghijk")) for case in cases}
    share = st.sampled_from([0.0, 0.0, 0.01, 0.1, 0.5])
    return groups, {case: {"1": draw(share), "2": draw(share)} for case in cases}


@given(drawn_sets(), st.integers(2, 6), st.booleans())
def test_groups_stay_whole_and_every_case_is_held_out_once(
    drawn: tuple[Groups, Content], wanted: int, with_content: bool
) -> None:
    groups, content = drawn
    splits = choose_folds(groups, wanted, content if with_content else None).value
    number = len(set(groups.values()))
    assert len(splits) == (min(wanted, number) if number > 1 else 0)
    if not splits:
        return
    assert sorted(case for split in splits for case in split["val"]) == sorted(groups)
    for split in splits:
        assert split["val"]
        assert sorted(split["train"] + split["val"]) == sorted(groups)
        assert not {groups[case] for case in split["train"]} & {groups[case] for case in split["val"]}
    sizes = [len(split["val"]) for split in splits]
    largest = max(list(groups.values()).count(group) for group in groups.values())
    assert max(sizes) - min(sizes) <= largest


@given(drawn_sets())
def test_never_less_balanced_than_by_cases_alone(drawn: tuple[Groups, Content]) -> None:
    facts = choose_folds(*drawn[:1], 5, drawn[1]).facts
    if "imbalance" in facts:
        assert facts["imbalance"] <= facts["imbalance_by_cases_alone"] + 1e-9


@given(drawn_sets())
def test_the_order_of_the_cases_does_not_matter(drawn: tuple[Groups, Content]) -> None:
    groups, content = drawn
    backwards = dict(reversed(groups.items()))
    assert choose_folds(groups, 5, content).value == choose_folds(backwards, 5, dict(reversed(content.items()))).value


@pytest.mark.parametrize("images_per_patient", [1, 3])
def test_shares_of_classes_are_evened_out(images_per_patient: int) -> None:
    """Over 20 drawn sets, each class's share deviates between folds at most half as much as by the old rule."""
    ratios = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        groups = {f"case{i:03d}": f"patient{i // images_per_patient}" for i in range(20 * images_per_patient)}
        own = {group: rng.lognormal(-3, 1, 2) for group in sorted(set(groups.values()))}
        content = {
            case: dict(zip("12", (own[groups[case]] * rng.uniform(0.5, 2)).clip(0, 1), strict=True)) for case in groups
        }
        even, old = (
            np.array(
                [
                    [np.mean([content[c][k] for c in s["val"]]) for k in "12"]
                    for s in choose_folds(groups, 5, given).value
                ]
            )
            for given in (content, None)
        )
        ratios.append((even.std(0) / old.std(0)).mean())
    assert np.mean(ratios) < 0.5


def test_empty_masks_are_spread() -> None:
    groups = {f"case{i:02d}": f"patient{i}" for i in range(25)}
    content = {case: {"1": 0.0 if i < 5 else 0.2} for i, case in enumerate(groups)}
    splits = choose_folds(groups, 5, content).value
    assert [sum(content[case]["1"] == 0 for case in split["val"]) for split in splits] == [1] * 5


def test_the_reason_tells_counts_shares_and_rare_classes() -> None:
    groups = {f"case{i}": f"patient{i // 2}" for i in range(20)}
    content = {case: {"1 (gland)": 0.5, "2 (vessel)": 0.1 if i < 4 else 0.0} for i, case in enumerate(groups)}
    decision = choose_folds(groups, 5, content)
    assert decision.reason == (
        "5 folds; 4/4/4/4/4 of 20 cases held out; none of 10 groups is split; of the held-out pixels class 1 (gland) "
        "50.0% to 50.0%, class 2 (vessel) 0.0% to 5.0%; fewer groups than folds show class 2 (vessel) (2): some folds "
        "hold out none of it."
    )
    assert decision.facts["groups_with_class"] == {"1 (gland)": 10, "2 (vessel)": 2}


def test_without_content_the_reason_is_as_before() -> None:
    reason = choose_folds({"a": "x", "b": "y", "c": "y"}, 5).reason
    assert (
        reason
        == "2 folds instead of 5, because there are no more groups; 2/1 of 3 cases held out; none of 2 groups is split."
    )


def test_one_group_cannot_be_divided() -> None:
    decision = choose_folds({"a": "x", "b": "x"}, 5, {"a": {"1": 0.5}, "b": {"1": 0.1}})
    assert decision.value == []
    assert "fold `all`" in decision.reason


def test_masks_that_are_all_empty_are_divided_by_cases() -> None:
    groups = {f"case{i}": f"patient{i}" for i in range(10)}
    assert choose_folds(groups, 5, {case: {"1": 0.0} for case in groups}).value == choose_folds(groups, 5).value
