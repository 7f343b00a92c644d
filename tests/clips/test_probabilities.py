"""Frames go through the networks as images do, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from medt_pipeline.clips.probabilities import frames_at_once, predict_frames
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.video import VideoFrame
from medt_pipeline.inference.average import average_members
from medt_pipeline.inference.inputs import to_planes
from tests.clips.drawn_clips import ellipses
from tests.clips.stand_in import clip_model


def test_as_images_and_a_few_at_a_time() -> None:
    model, drawn, taken = clip_model(), ellipses(7), 0

    def frames() -> Iterator[VideoFrame]:
        nonlocal taken
        for picture in drawn:
            taken += 1
            yield VideoFrame(picture, None)

    for one in predict_frames(frames(), model, 3, "a"):
        assert taken <= one.index + 3
        alone = average_members(model.members, to_planes(drawn[one.index], 3, "a"))
        assert np.abs(one.mean.probabilities - alone.probabilities).max() < 2e-3
    assert taken == 7


def test_frames_at_once() -> None:
    assert frames_at_once(10, 10) == 4
    assert frames_at_once(2048, 1024) == 2
    assert frames_at_once(8192, 4096) == 1


def test_what_the_model_does_not_know_is_told_by_frame() -> None:
    model = clip_model()
    frames = [VideoFrame(np.zeros((8, 8), np.uint8), None), VideoFrame(np.full((8, 8), 300, np.uint16), None)]
    with pytest.raises(UserError, match=r"frame 2 of a\.dcm has values from 300 to 300"):
        list(predict_frames(frames, model, 2, "a.dcm"))
