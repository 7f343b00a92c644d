"""A clip with the contours of its masks, as a video that every player shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path
from medt_pipeline.core.video import import_pyav

AddPicture = Callable[[np.ndarray, "float | None"], None]
"""Takes a picture (H, W, 3) uint8, all of one size, and its seconds since the first, None where not known."""
ENCODERS = ("libx264", "libopenh264", "mpeg4")
"""In the order of preference: H.264 plays everywhere, but not every build of FFmpeg brings it."""
UNKNOWN_RATE = 10.0
"""Frames a second of a clip that does not tell."""
_TICKS = 1000
"""Units of time in a second."""
_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "18"}, "libopenh264": {}, "mpeg4": {"qscale": "3"}}


@contextmanager
def overlay_video(file: Path, rate: float | None) -> Iterator[AddPicture]:
    """Write pictures as an MP4; the file has its name at the end, and is absent on any error.

    Sides of odd length get one more row or column, the last one again, since the encoders halve the colours.

    Args:
        rate: frames a second, for those without a time.

    Raises:
        UserError: PyAV is not installed, or brings none of the encoders.
    """
    av = import_pyav(f"Writing {file.name}")
    codec = _encoder(av)
    with atomic_path(file) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        # no time but that of the frames, and no name of a machine: players need neither
        stream = container.add_stream(codec, rate=Fraction(rate or UNKNOWN_RATE).limit_denominator(_TICKS))
        stream.pix_fmt, stream.options = "yuv420p", dict(_OPTIONS[codec])
        stream.codec_context.time_base = Fraction(1, _TICKS)
        last = -1

        def add(picture: np.ndarray, seconds: float | None) -> None:
            nonlocal last
            even = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge")
            if last < 0:
                stream.height, stream.width = even.shape[:2]
            told = round(last + _TICKS / (rate or UNKNOWN_RATE)) if seconds is None else round(seconds * _TICKS)
            last = max(told, last + 1)
            _encode(av, container, stream, even, last)

        yield add
        for packet in stream.encode():
            container.mux(packet)


def _encode(av: Any, container: Any, stream: Any, picture: np.ndarray, ticks: int) -> None:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
    for packet in stream.encode(frame):
        container.mux(packet)


def _encoder(av: Any) -> str:
    known = [name for name in ENCODERS if name in av.codecs_available]
    if not known:
        raise UserError(f"The FFmpeg of PyAV brings none of {', '.join(ENCODERS)}; install the wheels of PyAV.")
    return known[0]
