"""When the frames of a DICOM clip were taken, read off its header."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from pydicom import Dataset

TIMING_KEYWORDS = ("FrameTime", "FrameTimeVector", "CineRate")
"""Elements of a header that `frame_times` looks at."""
_MS_PER_S = 1000.0
LONGEST_STEP_S = 86_400.0
"""Seconds from a frame to the next; more is a mistake in the file."""


def frame_times(header: Dataset, frames: int) -> tuple[float, ...] | None:
    """Seconds from the first frame to each; None where the file does not tell, or tells something impossible.

    Frame Time Vector counts where it has a step for every frame, then Frame Time, then Cine Rate (DICOM PS3.3,
    C.7.6.5). Rates at which a clip is recommended to be shown are no times.
    """
    vector = header.get("FrameTimeVector")
    if isinstance(vector, Sequence) and not isinstance(vector, str) and len(vector) == frames:
        steps = [_number(step) / _MS_PER_S for step in vector]
        # the first step leads to the first frame
        if all(0 <= step <= LONGEST_STEP_S for step in steps[1:]):
            return tuple(accumulate(steps[1:], initial=0.0))
    step, rate = _number(header.get("FrameTime")) / _MS_PER_S, _number(header.get("CineRate"))
    if not 0 < step <= LONGEST_STEP_S:
        step = 1 / rate if rate > 0 else math.nan
    return tuple(index * step for index in range(frames)) if 0 < step <= LONGEST_STEP_S else None


def _number(value: object) -> float:
    """The value if it is one number; devices leave it empty or write several."""
    return float(value) if isinstance(value, (int, float)) else math.nan
