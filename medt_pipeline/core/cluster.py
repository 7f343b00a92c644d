"""Work as tasks of a Ray cluster, which may lose machines while it works; the one module that knows Ray."""

from __future__ import annotations

import logging
import math
import os
import platform
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from medt_pipeline.core.errors import UserError, reason_of
from medt_pipeline.core.interruption import handler_kept
from medt_pipeline.core.parallel import ordered_map
from medt_pipeline.core.workspace import ENVIRONMENT_VARIABLES

Item = TypeVar("Item")
Result = TypeVar("Result")

PREFIX = "ray"
RETRIES = 5
"""How often a task is begun again whose machine or process was lost."""
SAVING_SECONDS = 60
"""How long an interrupted command waits for its tasks to save what they have."""
CONNECTING_SECONDS = 10.0
SHARDS_AT_ONCE = 4
"""Shards for each task that runs at a time: so many that no machine waits long for the last one."""
LARGEST_SHARD = 64
"""Items that are done again at most where a machine is lost."""


@dataclass(frozen=True)
class Needs:
    """What a task takes of a machine: cores, GPUs and bytes of its main memory."""

    cores: float
    gpus: int
    memory: int


@dataclass(frozen=True)
class Task(Generic[Result]):
    """A call for a process of the cluster.

    Attributes:
        name: for messages.
        work: called with `arguments`; both are sent there.
        arguments: of `work`.
        needs: what it takes.
        alone: in a process of its own, which ends with it.
    """

    name: str
    work: Callable[..., Result]
    arguments: tuple[Any, ...]
    needs: Needs
    alone: bool = False


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of a task: what it gave back, or else why it failed."""

    result: Result | None
    failure: str | None = None


def parse_cluster(text: str) -> str | None:
    """The address in "ray://HOST:PORT" or "ray:HOST:PORT"; None for "ray", the cluster that this machine is part of.

    Raises:
        UserError: the text is none of these.
    """
    if text == PREFIX:
        return None
    address = text.removeprefix("ray://").removeprefix("ray:")
    host, _, port = address.rpartition(":")
    if address == text or not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UserError(
            f"--on takes ray, ray:HOST:PORT (a machine of the cluster) or ray://HOST:PORT (a client), got {text!r}."
        )
    return text if text.startswith("ray://") else address


class Cluster:
    """A cluster that this process is connected to: see `connected`."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def needs(
        self, what: str, memory: int, gpus: int = 0, at_once: int | None = None, cores: float | None = None
    ) -> Needs:
        """What each of several tasks of a kind takes, from what the machines have.

        Args:
            what: the kind of task, for messages.
            memory: bytes of main memory.
            gpus: 0 or 1.
            at_once: tasks at once on CPUs; None: one a machine.
            cores: of a task; None: a GPU's share of its machine, or of all cores what `at_once` leaves for each.

        Raises:
            UserError: no machine has that.
        """
        machines = self._machines()
        if not machines:
            raise UserError("The Ray cluster has no machine with cores for tasks yet; run again when one has joined.")
        able = [machine for machine in machines if machine.get("GPU", 0) >= gpus]
        if not able:
            raise UserError("None of the machines of the Ray cluster has a GPU for Ray; use --device cpu.")
        fitting = [machine for machine in able if machine.get("memory", 0) >= memory]
        if not fitting:
            most = max(machine.get("memory", 0) for machine in able)
            raise UserError(
                f"{what} needs {memory / 1e9:.1f} GB, but the machines of the Ray cluster have at most "
                f"{most / 1e9:.1f}; plan with less --memory or add a larger machine."
            )
        return Needs(max(float(cores or _share(fitting, gpus, at_once)), 1.0), gpus, memory)

    def shards(self, items: Sequence[Item], needs: Needs) -> list[list[Item]]:
        """The items in lists of about one length, in their order, for tasks of such needs."""
        at_once = sum(_room(machine, needs) for machine in self._machines())
        size = min(max(math.ceil(len(items) / (max(at_once, 1) * SHARDS_AT_ONCE)), 1), LARGEST_SHARD)
        return [list(items[first : first + size]) for first in range(0, len(items), size)]

    def run(self, tasks: Iterable[Task[Result]]) -> Iterator[tuple[Task[Result], Outcome[Result]]]:
        """Yield each task with its outcome, as they end; one whose machine is lost is begun again on another.

        What is not done when the caller stops is told to stop, as by Ctrl-C, and given `SAVING_SECONDS` for it.
        """
        ray = self._ray
        shared: dict[int, Any] = {}
        running: dict[Any, Task[Result]] = {}
        for task in tasks:
            # Sent once, however many tasks do it.
            if id(task.work) not in shared:
                shared[id(task.work)] = ray.put(task.work)
            remote = ray.remote(max_retries=RETRIES, **_process(task))(_attempt)
            running[remote.remote(shared[id(task.work)], *task.arguments)] = task
        left = list(running)
        try:
            while left:
                (done, *_), left = ray.wait(left, num_returns=1)
                yield running[done], self._outcome(done)
        except (KeyboardInterrupt, GeneratorExit):
            for one in left:
                ray.cancel(one)
            if left:
                ray.wait(left, num_returns=len(left), timeout=SAVING_SECONDS)
            raise

    def map_shards(
        self, work: Callable[[list[Item]], list[Result]], items: Sequence[Item], needs: Needs, what: str
    ) -> Iterator[Result]:
        """What `work` makes of lists of the items, item by item and in their order.

        Raises:
            UserError: a list failed; the others were done before.
        """
        shards = self.shards(items, needs)
        tasks = [Task(f"{what} {number + 1}", work, (shard,), needs) for number, shard in enumerate(shards)]
        places = {id(task): place for place, task in enumerate(tasks)}
        found: dict[int, list[Result]] = {}
        failures: list[str] = []
        following = 0
        for task, outcome in self.run(tasks):
            if outcome.result is None:
                failures.append(f"{task.name} ({len(shards[places[id(task)]])} of {len(items)}): {outcome.failure}")
                continue
            found[places[id(task)]] = outcome.result
            while following in found:
                yield from found.pop(following)
                following += 1
        if failures:
            raise UserError(
                f"{len(failures)} of {len(shards)} tasks failed; run the same command again, which repeats what is "
                "missing:\n  - " + "\n  - ".join(failures)
            )

    def _machines(self) -> list[dict[str, float]]:
        resources = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [machine for machine in resources if machine.get("CPU")]

    def _outcome(self, reference: Any) -> Outcome[Any]:
        try:
            outcome: Outcome[Any] = self._ray.get(reference)
        # What Ray raises where a task was lost too often, or what the work raised.
        except Exception as error:
            return Outcome(None, f"{type(error).__name__}: {reason_of(error, -1)}")
        return outcome


def map_cases(
    work: Callable[[list[Item]], list[Result]],
    items: Sequence[Item],
    threads: int,
    cluster: Cluster | None,
    memory: int,
    what: str,
) -> Iterator[Result]:
    """What `work` makes of lists of the items, item by item and in their order: by threads here, or on a cluster.

    Args:
        work: from a list of items to their results; leaves the same where it is done twice.
        items: to work on.
        threads: lists at once in this process, of one item each.
        cluster: has each list done on a core of its machines; None: this process.
        memory: bytes that a core's share of the work takes there.
        what: is done, for messages.

    Raises:
        UserError: as `Cluster.needs` and `Cluster.map_shards`.
    """
    if cluster is not None:
        yield from cluster.map_shards(work, items, cluster.needs(what, memory, cores=1.0), what)
        return
    for results in ordered_map(lambda item: work([item]), items, threads):
        yield from results


@contextmanager
def connected(on: str | None) -> Iterator[Cluster | None]:
    """The cluster that `--on` names, until the end; None where it names none.

    Where it says "ray" and there is no cluster, this machine becomes one. A process that is connected already stays so.

    Raises:
        UserError: the text names none, Ray is missing or the cluster does not answer.
    """
    if on is None:
        yield None
        return
    address = parse_cluster(on)
    try:
        import ray
    except ImportError:
        raise UserError("Ray is not installed; pip install 'medt_pipeline[cluster]' on every machine.") from None
    if ray.is_initialized():
        # By whoever called this library; it stays theirs.
        yield Cluster(ray)
        return
    if address is not None:
        _require_answer(address)
    try:
        # Ray's handler ends the process at once, and nothing would be saved.
        with handler_kept():
            ray.init(
                address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if address is None else None,
            )
    # Ray raises what its parts raise: of sockets, of gRPC, of processes that it could not start.
    except Exception as error:
        raise UserError(
            f"The Ray cluster{f' {address}' if address else ''} does not answer or could not be started "
            f"({reason_of(error)}); start it with ray start."
        ) from None
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Ray itself waits for minutes where nobody listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING_SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"The Ray cluster {address} does not answer ({reason_of(error)}); start it with ray start."
        ) from None


def _share(machines: Sequence[dict[str, float]], gpus: int, at_once: int | None) -> float:
    """Cores of a task: a GPU's share of its machine, or of all cores what `at_once` tasks leave for each."""
    if gpus:
        return min(machine["CPU"] // machine["GPU"] for machine in machines)
    if at_once is None:
        return min(machine["CPU"] for machine in machines)
    return min(sum(machine["CPU"] for machine in machines) // at_once, max(machine["CPU"] for machine in machines))


def _room(machine: dict[str, float], needs: Needs) -> int:
    """How many tasks run on a machine at a time."""
    rooms = [machine["CPU"] // needs.cores, machine.get("memory", 0) // max(needs.memory, 1)]
    return int(min([*rooms, machine.get("GPU", 0) // needs.gpus] if needs.gpus else rooms))


def _process(task: Task[Any]) -> dict[str, Any]:
    """Ray's options for the process of a task; nnU-Net looks for its folders as soon as it is imported there."""
    needs, threads = task.needs, str(int(task.needs.cores))
    variables = {name: os.environ[name] for name in ENVIRONMENT_VARIABLES if os.environ.get(name)}
    return {
        "num_cpus": needs.cores,
        "num_gpus": needs.gpus,
        "memory": needs.memory,
        # A process that stays keeps the GPU's memory.
        "max_calls": 1 if task.alone or needs.gpus else 0,
        "name": task.name,
        "runtime_env": {"env_vars": {**variables, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}},
    }


def _attempt(work: Callable[..., Result], *arguments: Any) -> Outcome[Result]:
    """In a process of the cluster."""
    try:
        return Outcome(work(*arguments))
    except UserError as error:
        return Outcome(None, f"{error} (on {platform.node()})")
