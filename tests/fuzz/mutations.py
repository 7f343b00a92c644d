"""Ways to break a file."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

EXTREME_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1)
EXTREME_WORDS = (
    b"-1",
    b"0",
    b"1e309",
    b"-1e308",
    b"99999999999999999999",
    b"0.5",
    b"NaN",
    b"null",
    b"true",
    b'""',
    b"[]",
    b"{}",
    b"[[[[[[[[]]]]]]]]",
    b'"\\u0000"',
    b"\xff\xfe",
)
_WORD = re.compile(rb'-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|"[^"]*"|null|true|false')


def mutated(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of `seeds`, broken in one to three ways."""
    content = rng.choice(seeds)
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(WAYS)(content, rng)
    if rng.random() < 0.1:
        content = _spliced(content, rng.choice(seeds), rng)
    return content


def _flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if changed:
            # Half of the time near the beginning, where headers lie.
            last = len(changed) if rng.random() < 0.5 else min(len(changed), 200)
            changed[rng.randrange(last)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _taken_out(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def _repeated(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:end] + content[start:end] * rng.randint(1, 20) + content[end:]


def _erased(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + rng.choice((b"\0", b"\xff", b" ")) * (end - start) + content[end:]


def _extreme_number(content: bytes, rng: random.Random) -> bytes:
    width = rng.choice((1, 2, 4, 8))
    number = rng.choice(EXTREME_NUMBERS) & (256**width - 1)
    last = len(content) if rng.random() < 0.5 else min(len(content), 200)
    start = rng.randrange(last + 1)
    return content[:start] + number.to_bytes(width, rng.choice(("little", "big"))) + content[start + width :]


def _extreme_word(content: bytes, rng: random.Random) -> bytes:
    words = list(_WORD.finditer(content))
    if not words:
        return _extreme_number(content, rng)
    found = rng.choice(words)
    other = rng.choice(EXTREME_WORDS) if rng.random() < 0.7 else rng.choice(words)[0]
    return content[: found.start()] + other + content[found.end() :]


def _spliced(content: bytes, other: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(start + rng.randint(1, 64), len(content))


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flipped,
    _flipped,
    _cut,
    _taken_out,
    _repeated,
    _erased,
    _extreme_number,
    _extreme_word,
    _extreme_word,
)
