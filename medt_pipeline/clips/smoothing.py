"""Probabilities averaged over neighbouring frames, with no more frames in memory than are averaged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from medt_pipeline.clips.probabilities import PredictedFrame
from medt_pipeline.core.errors import UserError

MOST_FRAMES = 31
MOST_BYTES = 2**31
"""Memory for the probabilities that are averaged."""


def smooth_frames(frames: Iterable[PredictedFrame], window: int) -> Iterator[PredictedFrame]:
    """Each frame with the mean of the probabilities of the `window` frames around it, itself in the middle.

    At the beginning and end of the clip as many frames are averaged on either side as there are on the shorter one, so
    that nothing lags. Frames count alike, however far they are apart in time. What the members of an ensemble say
    apart (`Average.mean_entropy`) stays that of the frame.

    Args:
        window: odd, from 1, which leaves the frames as they are.
    """
    reach = window // 2
    held: deque[PredictedFrame] = deque()
    # of the next frame among those that are held
    place = 0
    for frame in frames:
        held.append(frame)
        if len(held) > place + reach:
            yield _averaged(held, place, reach)
            place = _next_place(held, place, reach)
    while place < len(held):
        yield _averaged(held, place, reach)
        place = _next_place(held, place, reach)


def _averaged(held: deque[PredictedFrame], place: int, reach: int) -> PredictedFrame:
    """The frame at `place` with the mean over as many frames before as after it."""
    side = min(reach, place, len(held) - 1 - place)
    middle = held[place]
    if side == 0:
        return middle
    total = held[place - side].mean.probabilities.copy()
    for index in range(place - side + 1, place + side + 1):
        total += held[index].mean.probabilities
    total /= np.float32(2 * side + 1)
    return replace(middle, mean=replace(middle.mean, probabilities=total))


def _next_place(held: deque[PredictedFrame], place: int, reach: int) -> int:
    """Let go of the frame that no later one needs."""
    if place < reach:
        return place + 1
    held.popleft()
    return place


def require_window(window: int, height: int, width: int, classes: int) -> None:
    """Refuse a window of more than `MOST_FRAMES`, or whose probabilities would take more than `MOST_BYTES`.

    Raises:
        UserError: it is, or they would.
    """
    if window > MOST_FRAMES:
        raise UserError(f"--smooth-frames averages at most {MOST_FRAMES} frames, got {window}.")
    if window > 1 and window * classes * height * width * np.dtype(np.float32).itemsize > MOST_BYTES:
        raise UserError(
            f"{window} frames of {width}×{height} pixels and {classes} classes take more than "
            f"{MOST_BYTES / 2**30:g} GiB; choose a smaller --smooth-frames."
        )
