from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.clip_frames import centred_windows, frame_case, narrowed, runs_of_frames


def test_runs_are_frames_that_follow_each_other() -> None:
    cases = [frame_case("p1_002", index) for index in (0, 1, 2, 5, 6)] + [frame_case("p1_003", index) for index in (3,)]
    assert cases[0] == "p1_002_f0001"
    assert runs_of_frames([*reversed(cases), "p1_004", "train_1"]) == [cases[:3], cases[3:5], cases[5:]]


def test_numbers_beyond_four_digits_follow_too() -> None:
    cases = [frame_case("clip", index) for index in range(9997, 10001)]
    assert runs_of_frames(sorted(cases)) == [cases]


@given(frames=st.integers(0, 14), reach=st.integers(0, 4))
def test_windows_have_the_frame_in_the_middle_and_end_with_the_clip(frames: int, reach: int) -> None:
    windows = list(centred_windows(iter(range(frames)), 2 * reach + 1))
    sides = [min(reach, index, frames - 1 - index) for index in range(frames)]
    assert windows == [list(range(index - side, index + side + 1)) for index, side in enumerate(sides)]
    for narrower in range(reach + 1):
        assert [narrowed(one, 2 * narrower + 1) for one in windows] == list(
            centred_windows(range(frames), 2 * narrower + 1)
        )
