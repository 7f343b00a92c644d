"""A window is taken where labelled clips say so: flickering masks, and masks that averaging blurs."""

from __future__ import annotations

import numpy as np
import pytest

from medt_pipeline.evaluation.window_choice import OFF, WINDOWS, choose_window, window_scores
from tests.clips.drawn_clips import OBJECT, ellipses


def _scores(seed: int, noise: float, step: int) -> dict[int, float]:
    """Of a clip whose object moves by `step` columns a frame, and whose probabilities flicker by `noise`."""
    rng = np.random.default_rng(seed)
    still = ellipses(1)[0] == OBJECT
    references = [np.roll(still, step * index, axis=1)[::4, ::4].astype(np.uint8) for index in range(9)]
    foreground = (np.clip(0.2 + 0.6 * one + rng.normal(0, noise, one.shape), 0, 1) for one in references)
    frames = (
        (np.stack([1 - one, one]).astype(np.float32), reference)
        for one, reference in zip(foreground, references, strict=True)
    )
    return window_scores(frames, lambda mean: mean.argmax(0), [1])


def test_flicker_is_averaged_away() -> None:
    scores = [_scores(seed, noise=0.4, step=0) for seed in range(8)]
    choice = choose_window(scores, [f"p{seed}" for seed in range(8)])
    assert choice.window > OFF
    assert choice.gains[choice.window] > 0.02


def test_what_moves_is_left_alone() -> None:
    scores = [_scores(seed, noise=0.05, step=14) for seed in range(8)]
    choice = choose_window(scores, [f"p{seed}" for seed in range(8)])
    assert choice.window == OFF
    assert all(gain < 0 for gain in choice.gains.values())


def test_few_patients_decide_nothing() -> None:
    scores = [{OFF: 0.5, **dict.fromkeys(WINDOWS, 0.9)}] * 8
    assert choose_window(scores, ["a", "b"] * 4).window == OFF


def test_a_worked_example() -> None:
    """One pixel, three frames: the middle one is wrong by itself and right in the mean of the three."""
    probabilities = [0.9, 0.4, 0.9]
    frames = [(np.array([1 - one, one]).reshape(2, 1, 1), np.ones((1, 1), np.uint8)) for one in probabilities]
    scores = window_scores(frames, lambda mean: mean.argmax(0), [1])
    assert scores == pytest.approx({OFF: 2 / 3, **dict.fromkeys(WINDOWS, 1.0)})
