from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from medt_pipeline.core.interruption import handled, interrupt_on_termination


def test_a_request_to_end_is_an_interruption_and_the_handler_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupt_on_termination():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_signals_can_be_noted() -> None:
    seen: list[int] = []
    with handled(lambda number, frame: seen.append(number), signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert seen == [signal.SIGINT, signal.SIGTERM]


def test_elsewhere_than_in_the_main_thread_nothing_happens() -> None:
    def work() -> int:
        with interrupt_on_termination():
            return 5

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_process_dies_of_a_request_to_end_and_the_parent_still_catches_it() -> None:
    """A pool that ends its workers at once waited forever for one that had just begun."""
    with interrupt_on_termination(), interrupt_on_termination():
        handler = signal.getsignal(signal.SIGTERM)
        for _ in range(20):
            with multiprocessing.get_context("fork").Pool(2):
                pass
        child = os.fork()
        if child == 0:
            os._exit(0 if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_handler_that_somebody_left_behind_is_not_inherited() -> None:
    """Ray's, after it has shut down: a forked worker of nnU-Net lost the request to end, too."""

    def left_behind(number: int, frame: object) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, left_behind)
    try:
        with interrupt_on_termination():
            child = os.fork()
            if child == 0:
                os._exit(0 if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert signal.getsignal(signal.SIGTERM) is left_behind
    finally:
        signal.signal(signal.SIGTERM, before)
