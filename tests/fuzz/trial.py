"""Reading one broken file under watch."""

from __future__ import annotations

import contextlib
import io
import random
import resource
import signal
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from medt_pipeline.core.errors import UserError
from tests.fuzz.formats import Format
from tests.fuzz.mutations import mutated
from tests.peak_memory import peak_bytes

LONGEST_S = 10
MOST_BYTES = 10**9
LONGEST_SENTENCE = 1000

Outcome = Literal["answered", "refused", "failed"]


class Hanging(BaseException):
    """The reader did not come back; no `except Exception` may swallow it."""


@dataclass(frozen=True)
class Trial:
    """What became of one file; `reason` says what was wrong where it failed."""

    outcome: Outcome
    reason: str = ""


def seeds_of(form: Format, folder: Path) -> list[bytes]:
    """Valid files of a format, all of which are answered."""
    form.seeds(folder)
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(form.ending))
    for path in paths:
        form.read(path)
    return [path.read_bytes() for path in paths]


def broken(form: Format, seeds: Sequence[bytes], number: int, folder: Path) -> Path:
    """Write the broken file `number`, the same for the same seeds."""
    path = path_in(folder, form)
    path.write_bytes(mutated(seeds, random.Random(number)))
    return path


def path_in(folder: Path, form: Format) -> Path:
    """Where a broken file of a format is written."""
    return folder / (f"broken{form.ending}" if form.ending.startswith(".") else form.ending)


def attempt(form: Format, path: Path) -> Trial:
    """Have a file read: answered, refused by a sentence, or failed."""
    before = _peak()
    try:
        with warnings.catch_warnings(), _within(LONGEST_S), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            form.read(path)
        outcome = Trial("answered")
    except UserError as error:
        # A list of mistakes has a line each; nothing else has several lines.
        sentence, *more = str(error).split("\n")
        told = len(sentence) < LONGEST_SENTENCE and all(line.startswith("  - ") for line in more)
        outcome = Trial("refused") if told else Trial("failed", f"no sentence: {str(error)[:200]!r}")
    except Hanging:
        outcome = Trial("failed", f"more than {LONGEST_S} s")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        outcome = Trial("failed", f"{type(error).__name__}: {str(error)[:120]} ({where.filename}:{where.lineno})")
    if _peak() - before > MOST_BYTES:
        return Trial("failed", f"{(_peak() - before) / 1e9:.1f} GB")
    return outcome


@contextlib.contextmanager
def _within(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hanging

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _peak() -> int:
    return peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
