"""Frames of clips: the names of their cases, and walking along them with their neighbours."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

Frame = TypeVar("Frame")

MOST_FRAMES = 31
"""Over which anything is averaged."""

_NAME = re.compile(r"(?P<clip>.+)_f(?P<number>\d{4,})")


def frame_case(clip: str, index: int) -> str:
    """Name of the case of a clip's frame `index`, from 0; frames are numbered from 1, as DICOM does."""
    return f"{clip}_f{index + 1:04d}"


def runs_of_frames(cases: Iterable[str]) -> list[list[str]]:
    """The cases that are frames of clips, as runs of frames that follow each other, in their order."""
    runs: list[list[str]] = []
    before: tuple[str, int] | None = None
    named = ((found["clip"], int(found["number"]), case) for case in cases if (found := _NAME.fullmatch(case)))
    for clip, number, case in sorted(named):
        if before != (clip, number - 1):
            runs.append([])
        runs[-1].append(case)
        before = clip, number
    return runs


def centred_windows(frames: Iterable[Frame], window: int) -> Iterator[list[Frame]]:
    """For each frame the `window` frames around it, itself in the middle; no more than these are held.

    At the beginning and end of a clip as many are taken on either side as there are on the shorter one.

    Args:
        window: odd, from 1, which gives every frame alone.
    """
    reach = window // 2
    held: deque[Frame] = deque()
    # of the next frame among those that are held
    place = 0
    for frame in frames:
        held.append(frame)
        if len(held) > place + reach:
            yield _around(held, place, reach)
            place = _next_place(held, place, reach)
    while place < len(held):
        yield _around(held, place, reach)
        place = _next_place(held, place, reach)


def narrowed(around: list[Frame], window: int) -> list[Frame]:
    """The `window` frames in the middle of what `centred_windows` gave for a wider window."""
    left_out = max(len(around) // 2 - window // 2, 0)
    return around[left_out : len(around) - left_out]


def _around(held: deque[Frame], place: int, reach: int) -> list[Frame]:
    side = min(reach, place, len(held) - 1 - place)
    return [held[index] for index in range(place - side, place + side + 1)]


def _next_place(held: deque[Frame], place: int, reach: int) -> int:
    """Let go of the frame that no later one needs."""
    if place < reach:
        return place + 1
    held.popleft()
    return place
