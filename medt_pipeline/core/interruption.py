"""Signals that end a process, as the exception that Ctrl-C is."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def interrupt_on_termination() -> Iterator[None]:
    """Treat SIGTERM, which schedulers send before they kill, as Ctrl-C, so that nothing half-written stays."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with handled(interrupt, signal.SIGTERM):
        yield


@contextlib.contextmanager
def handled(handler: Handler, *signals: signal.Signals) -> Iterator[None]:
    """Have `handler` called for `signals`; elsewhere than in the main thread, where none can be caught, do nothing.

    Processes that are forked meanwhile do with the signals what was done before, or, where that was a function, what
    the system does: see `_stand_aside`.
    """
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):
        for one in signals:
            before[one] = signal.signal(one, handler)
            _original.setdefault(one, before[one])
    try:
        yield
    finally:
        for one, earlier in before.items():
            signal.signal(one, earlier)
            if _original.get(one) is earlier:
                del _original[one]


@contextlib.contextmanager
def handler_kept() -> Iterator[None]:
    """Put SIGTERM's handler back at the end, for libraries that leave one of their own behind."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # Outside the main thread nobody could change it, and one that Python did not set it cannot set.
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


_original: dict[signal.Signals, Any] = {}
"""What was done with the signals that are handled, before the first of nested handlers."""
_aside: dict[signal.Signals, Any] = {}


def _stand_aside() -> None:
    """Before a fork: take the handlers away, and give them back in the parent alone.

    A child that is terminated before Python has found its feet in it forgets a signal that has a handler in Python,
    and whoever waits for its end, as a pool of nnU-Net does, waits forever. That goes for handlers of others too.
    """
    if threading.current_thread() is threading.main_thread():
        for one, original in _original.items():
            foreign = callable(original) and original is not signal.default_int_handler
            _aside[one] = signal.signal(one, signal.SIG_DFL if foreign else original)


def _come_back() -> None:
    for one in list(_aside):
        signal.signal(one, _aside.pop(one))


def _forget() -> None:
    _aside.clear()
    _original.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stand_aside, after_in_parent=_come_back, after_in_child=_forget)
