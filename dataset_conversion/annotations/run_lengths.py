"""COCO's run lengths: a mask column by column as counts of pixels outside, inside, outside, …"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .shapes import Patch

_BITS, _MORE, _SIGN = 5, 0x20, 0x10
_FIRST_CHARACTER = 48
_MOST_CHARACTERS = 8
"""Of one number: 40 bits, more than any picture has pixels."""


def decode_text(text: str) -> list[int]:
    """The counts of a compressed mask.

    Each number is written with five bits a character, lowest first, from "0" upwards; 32 says that more follow, and
    negative numbers are in two's complement. From the fourth number on it is the difference to the one two before.

    Raises:
        ValueError: the text is not such a code.
    """
    counts: list[int] = []
    number = characters = 0
    for character in text:
        code = ord(character) - _FIRST_CHARACTER
        if not 0 <= code < 2 * _MORE or characters == _MOST_CHARACTERS:
            raise ValueError("the compressed counts are broken")
        number |= (code & (_MORE - 1)) << (_BITS * characters)
        characters += 1
        if code & _MORE:
            continue
        if code & _SIGN:
            number -= 1 << (_BITS * characters)
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = characters = 0
    if characters:
        raise ValueError("the compressed counts end within a number")
    return counts


def check_counts(counts: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The counts as int64.

    Raises:
        ValueError: one is negative or no whole number, or they do not add up to a picture of `size` (height, width).
    """
    found = np.asarray(counts)
    if found.ndim != 1 or (found.size and (found.dtype.kind not in "iu" or found.min() < 0)):
        raise ValueError("the counts are not all whole numbers of 0 or more")
    total = sum(found.tolist())
    if total != size[0] * size[1]:
        raise ValueError(f"the counts add up to {total} pixels, but {size[1]}×{size[0]} were announced")
    return found.astype(np.int64)


def decode_counts(counts: np.ndarray, size: tuple[int, int]) -> Patch:
    """The pixels inside, as a patch of full height and of the columns in use."""
    height = size[0]
    ends = np.cumsum(counts)
    stops = ends[1::2]
    starts = ends[0::2][: len(stops)]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not len(starts):
        return Patch(0, 0, np.zeros((0, 0), dtype=bool))
    left, right = int(starts[0]) // height, -(-int(stops[-1]) // height)
    steps = np.zeros((right - left) * height + 1, dtype=np.int8)
    steps[starts - left * height] += 1
    # where a count of zero parts two runs, one stops and the other starts at the same pixel
    steps[stops - left * height] -= 1
    inside = np.cumsum(steps[:-1], dtype=np.int8) > 0
    return Patch(0, left, inside.reshape(right - left, height).T)
