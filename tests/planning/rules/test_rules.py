from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.planning.presets import load_preset
from medt_pipeline.planning.rules.batch_size import choose_batch_size
from medt_pipeline.planning.rules.folds import choose_folds
from medt_pipeline.planning.rules.schedule import choose_schedule

PRESET = load_preset("default")


@pytest.mark.parametrize(
    ("pixels", "fitting", "expected", "why"),
    [(1e9, 9, 4, "preset"), (24576 * 60, 9, 3, "pixels"), (24576 * 20, 9, 2, "least"), (1e9, 3, 3, "memory")],
)
def test_batch_size_says_what_set_it(pixels: float, fitting: int, expected: int, why: str) -> None:
    decision = choose_batch_size(4, 24576, pixels, 0.05, fitting)
    assert decision.value == expected
    assert why in decision.reason


def test_longer_training_for_more_data() -> None:
    lengths = [choose_schedule(cases, 4, PRESET).value for cases in (1, 85, 400, 10**6)]
    steps = [schedule.epochs * schedule.iterations_per_epoch for schedule in lengths]
    assert steps == sorted(steps)
    assert steps[0] >= PRESET.min_steps
    assert steps[-1] <= PRESET.max_steps + PRESET.epochs


GROUPS = st.dictionaries(st.text("abcdef", min_size=1), st.sampled_from("vwxyz"), min_size=1, max_size=40)


@given(GROUPS)
def test_folds_never_split_a_group_and_hold_out_every_case_once(groups: dict[str, str]) -> None:
    splits = choose_folds(groups, 5).value
    if len(set(groups.values())) < 2:
        assert splits == []
        return
    assert len(splits) == min(5, len(set(groups.values())))
    held_out = sorted(case for split in splits for case in split["val"])
    assert held_out == sorted(groups)
    for split in splits:
        assert sorted(split["train"] + split["val"]) == sorted(groups)
        assert not {groups[case] for case in split["train"]} & {groups[case] for case in split["val"]}


def test_folds_are_balanced_and_the_same_every_time() -> None:
    groups = {f"case{i}": f"patient{i // 3}" for i in range(45)}
    splits = choose_folds(groups, 5).value
    assert {len(split["val"]) for split in splits} == {9}
    assert choose_folds(dict(reversed(groups.items())), 5).value == splits


def test_unknown_preset_names_the_known() -> None:
    with pytest.raises(UserError, match="choose one of: default"):
        load_preset("fancy")
