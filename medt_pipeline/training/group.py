"""Processes that train one network together, a device each: who decides, who writes, and that all stop at once."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import distributed

from medt_pipeline.attention.all_processes import process_count
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.interruption import handled, interrupt_on_termination

Result = TypeVar("Result")

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: the first one scores all held-out cases while they do."""


class Group:
    """This process among those that train together; alone, where torch.distributed is not in use.

    The first process decides and writes. Signals are only noted: a process that left at once would leave the others
    waiting, so all agree before each step whether to stop. The time is that of the first process, so that learning
    rate and time budget are the same everywhere.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    def __init__(self) -> None:
        self.size = process_count()
        self.rank = distributed.get_rank() if self.size > 1 else 0
        self._stop = False
        self._now = time.monotonic()

    @property
    def is_first(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    @property
    def was_restarted(self) -> bool:
        """Whether torchrun started the processes again because one of them failed."""
        return _restarts() > 0

    def now(self) -> float:
        """Seconds of a clock that never goes back: the time of the last agreement, the same in all processes."""
        return time.monotonic() if self.size == 1 else self._now

    def agree(self) -> None:
        """Wait for all, take over the time of the first, and stop together if any process was told to.

        Raises:
            KeyboardInterrupt: in all processes.
        """
        if self.size == 1:
            return
        told = torch.tensor([float(self._stop), time.monotonic() if self.is_first else 0.0], dtype=torch.float64)
        distributed.all_reduce(told, distributed.ReduceOp.MAX)
        self._now = float(told[1])
        if told[0]:
            raise KeyboardInterrupt

    def by_first(self, work: Callable[[], Result]) -> Result:
        """What `work` returns in the first process, in all of them.

        Raises:
            UserError: `work` raised it.
        """
        if self.size == 1:
            return work()
        outcome: list[Any] = [None, None]
        if self.is_first:
            try:
                outcome[0] = work()
            except UserError as error:
                outcome[1] = str(error)
        distributed.broadcast_object_list(outcome, src=0)
        if outcome[1] is not None:
            raise UserError(outcome[1])
        result: Result = outcome[0]
        return result

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            distributed.barrier()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Note Ctrl-C and SIGTERM for the next agreement; alone, treat SIGTERM as Ctrl-C."""
        if self.size == 1:
            with interrupt_on_termination():
                yield
            return

        def note(signum: int, frame: FrameType | None) -> None:
            self._stop = True

        with handled(note, signal.SIGINT, signal.SIGTERM):
            yield


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes among which torchrun, or `--devices`, started this one; yields this process's device.

    Without such a start the process stays alone and `device` is yielded as it is. Processes on CUDA devices exchange
    gradients by NCCL and what concerns their order by gloo, those on a CPU all of it by gloo.
    """
    if not is_member() or distributed.is_initialized():
        yield device
        return
    backend = "gloo"
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    # Of weights with one channel, whose order is both channels first and last; nothing is wrong or slow with it.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    store, rank, size = next(distributed.rendezvous("env://", timeout=PATIENCE))
    # torchrun keeps its store when it starts the processes again, and in it the addresses of those that are gone.
    store = distributed.PrefixStore(f"attempt_{_restarts()}", store)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def _restarts() -> int:
    """How often torchrun has started the processes again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def is_member() -> bool:
    """Whether this process was started as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def local_size() -> int:
    """Number of the processes on this machine that train together."""
    return max(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)
