from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.planning.presets import load_preset
from medt_pipeline.planning.rules.batch_size import choose_batch_size
from medt_pipeline.planning.rules.folds import choose_folds
from medt_pipeline.planning.rules.resolution import choose_resolution
from medt_pipeline.planning.rules.schedule import choose_schedule

PRESET = load_preset("default")


def test_glas_is_seen_whole_on_a_cpu() -> None:
    resolution = choose_resolution((522, 775), 24576, 6.0).value
    assert resolution.patch_size == (128, 192)
    assert resolution.reduction == pytest.approx(522 / 128)


@given(st.integers(16, 5000), st.integers(16, 5000), st.sampled_from([4096, 24576, 262144]))
def test_patches_fit_the_budget_and_show_the_whole_image_where_they_can(height: int, width: int, budget: int) -> None:
    resolution = choose_resolution((height, width), budget, 6.0).value
    rows, columns = resolution.patch_size
    assert rows % 32 == columns % 32 == 0
    assert resolution.reduction >= 1
    # Rounding adds at most half a step to each side, and no side is below one step.
    assert rows * columns <= (budget**0.5 + 16) ** 2 * 1.5 + 32 * max(rows, columns)
    if 1 < resolution.reduction < 6:
        assert height / resolution.reduction <= rows + 1e-6
        assert width / resolution.reduction <= columns + 1e-6


def test_small_images_keep_their_resolution_and_huge_ones_are_cut() -> None:
    assert choose_resolution((100, 120), 24576, 6.0).value.reduction == 1
    huge = choose_resolution((6000, 4000), 24576, 6.0)
    assert huge.value.reduction == 6
    assert "of each side" in huge.reason


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
