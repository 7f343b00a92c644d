"""Signals that end a process, as the exception that Ctrl-C is."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

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
    """Have `handler` called for `signals`; elsewhere than in the main thread, where none can be caught, do nothing."""
    before: dict[signal.Signals, signal.Handlers | int | Handler | None] = {}
    with contextlib.suppress(ValueError):
        for one in signals:
            before[one] = signal.signal(one, handler)
    try:
        yield
    finally:
        for one, earlier in before.items():
            signal.signal(one, earlier)
