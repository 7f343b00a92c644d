"""When frames were taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from medt_pipeline.core.dicom.timing import frame_times


def header(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def test_the_vector_counts_then_the_time_then_the_rate() -> None:
    vector = {"FrameTimeVector": [0, 20, 30]}
    assert frame_times(header(**vector, FrameTime=10, CineRate=5), 3) == pytest.approx((0, 0.02, 0.05))
    assert frame_times(header(**vector, FrameTime=10, CineRate=5), 4) == pytest.approx((0, 0.01, 0.02, 0.03))
    assert frame_times(header(CineRate=5), 3) == pytest.approx((0, 0.2, 0.4))
    assert frame_times(header(FrameTime=40), 1) == (0,)


@pytest.mark.parametrize(
    "elements",
    [{}, {"FrameTime": 0}, {"FrameTime": -5}, {"FrameTime": None}, {"CineRate": 0}, {"FrameTime": 1e12}],
)
def test_nothing_and_nonsense(elements: dict[str, object]) -> None:
    assert frame_times(header(**elements), 3) is None


@given(st.lists(st.floats(0, 1000), min_size=2, max_size=20))
def test_times_never_go_back(steps: list[float]) -> None:
    made = header(FrameTimeVector=[round(step, 3) for step in steps])
    times = frame_times(made, len(steps))
    assert times is not None
    assert list(times) == sorted(times)
    assert times[0] == 0
