"""The mean over neighbours against a loop over a clip that lies in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.clips import smoothing
from medt_pipeline.clips.probabilities import PredictedFrame
from medt_pipeline.clips.smoothing import require_window, smooth_frames
from medt_pipeline.core.errors import UserError
from tests.clips.stand_in import predicted


def _reference(values: np.ndarray, window: int) -> list[float]:
    means = []
    for index in range(len(values)):
        side = min(window // 2, index, len(values) - 1 - index)
        means.append(values[index - side : index + side + 1].mean())
    return means


@given(frames=st.integers(0, 14), reach=st.integers(0, 4), seed=st.integers(0, 99))
def test_means_of_neighbours(frames: int, reach: int, seed: int) -> None:
    values = np.random.default_rng(seed).random(frames)
    given_frames = [predicted(index, np.full((2, 3), value)) for index, value in enumerate(values)]
    smoothed = list(smooth_frames(iter(given_frames), 2 * reach + 1))
    assert [one.index for one in smoothed] == list(range(frames))
    found = [one.mean.probabilities[1, 0, 0, 0] for one in smoothed]
    assert found == pytest.approx(_reference(values, 2 * reach + 1), abs=1e-5)
    for one, value in zip(given_frames, values, strict=True):
        assert one.mean.probabilities[1, 0, 0, 0] == pytest.approx(value, abs=1e-6), "the frames were changed"


def test_no_more_frames_are_taken_than_are_averaged() -> None:
    taken = 0

    def frames() -> Iterator[PredictedFrame]:
        nonlocal taken
        for index in range(50):
            taken += 1
            yield predicted(index, np.zeros((2, 2)))

    for one in smooth_frames(frames(), 7):
        assert taken <= one.index + 1 + 3


def test_windows_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    require_window(31, 100, 100, 2)
    require_window(1, 10**5, 10**5, 9)
    with pytest.raises(UserError, match="at most 31 frames, got 33"):
        require_window(33, 10, 10, 2)
    monkeypatch.setattr(smoothing, "MOST_BYTES", 2**20)
    with pytest.raises(UserError, match="choose a smaller --smooth-frames"):
        require_window(3, 300, 300, 2)
