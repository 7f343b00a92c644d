"""Probabilities averaged over neighbouring frames, with no more frames in memory than are averaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from medt_pipeline.clips.probabilities import PredictedFrame
from medt_pipeline.core.clip_frames import MOST_FRAMES, centred_windows
from medt_pipeline.core.errors import UserError

MOST_BYTES = 2**31
"""Memory for the probabilities that are averaged."""


def smooth_frames(frames: Iterable[PredictedFrame], window: int) -> Iterator[PredictedFrame]:
    """Each frame with the mean of the probabilities of the frames around it: see `centred_windows`.

    So nothing lags. Frames count alike, however far they are apart in time. What the members of an ensemble say apart
    (`Average.mean_entropy`) stays that of the frame.
    """
    for around in centred_windows(frames, window):
        middle = around[len(around) // 2]
        if len(around) > 1:
            total = around[0].mean.probabilities.copy()
            for one in around[1:]:
                total += one.mean.probabilities
            total /= np.float32(len(around))
            middle = replace(middle, mean=replace(middle.mean, probabilities=total))
        yield middle


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
