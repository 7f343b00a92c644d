"""Work in threads: order, bounded memory, exceptions."""

from __future__ import annotations

import threading
import time
from itertools import islice

import pytest

from medt_pipeline.core.parallel import ordered_map, worker_count


def test_results_come_in_order_from_several_threads() -> None:
    seen = set()
    both = threading.Barrier(2, timeout=10)

    def work(item: int) -> int:
        if item < 2:
            both.wait()  # passes only where two items are worked on at once
        seen.add(threading.get_ident())
        time.sleep(0.001 * (item % 3))
        return item * item

    assert list(ordered_map(work, range(20), workers=2)) == [item * item for item in range(20)]
    assert len(seen) == 2
    assert list(ordered_map(work, [], workers=2)) == []


def test_no_more_is_begun_than_two_items_a_thread() -> None:
    begun = []
    results = ordered_map(begun.append, range(1000), workers=3)
    for taken in range(1, 4):
        next(results)
        assert len(begun) <= taken + 2 * 3
    assert len(list(islice(results, 2000))) == 997


def test_an_exception_comes_in_its_place_and_ends_the_rest() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        return item

    results = ordered_map(work, range(1000), workers=2)
    assert list(islice(results, 3)) == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(begun) < 10


def test_workers_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_def_n_proc", "5")
    assert worker_count() == 5
    for nonsense in ("", "many", "0"):
        monkeypatch.setenv("nnUNet_def_n_proc", nonsense)
        assert 1 <= worker_count() <= 16
