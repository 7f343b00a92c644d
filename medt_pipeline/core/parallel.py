"""The same work on many items, several at once, with little in memory and the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_WORKERS = 16


def worker_count() -> int:
    """Threads for reading and writing: nnUNet_def_n_proc where it is set, else one a processor, at most 16."""
    wanted = os.environ.get("nnUNet_def_n_proc")
    return int(wanted) if wanted and wanted.isdigit() and int(wanted) else min(os.cpu_count() or 1, MOST_WORKERS)


def ordered_map(work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None) -> Iterator[Result]:
    """Yield `work(item)` for every item, in their order, done by threads.

    Decoding, encoding and counting of pixels leave Python's lock, so threads use all processors, and nothing has to be
    sent to other processes. At most two items a thread are begun and not yet yielded, so memory does not grow with the
    number of items. An exception of `work` is raised in the place of its result; what is not begun then never is.

    Args:
        workers: threads; None takes `worker_count()`.
    """
    count = workers or worker_count()
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) >= 2 * count:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
