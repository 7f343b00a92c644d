"""Starts a training on several devices: a process each, as torchrun would, watched until all have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import torch
from torch import distributed

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.interruption import interrupt_on_termination

LOOK = 0.2
"""Seconds between two looks at the processes."""
GRACE = 60.0
"""Seconds that processes have to save themselves before they are killed."""


def parse_devices(text: str) -> tuple[str, ...]:
    """Devices named "0,1" (CUDA devices by number) or "cpu,cpu".

    Raises:
        UserError: they are not there, or not of one kind, or one is named twice.
    """
    names = tuple(one.strip().lower() for one in text.split(","))
    if set(names) == {"cpu"}:
        return names
    if not all(one.isdigit() for one in names):
        raise UserError(f"--devices must be numbers of CUDA devices, such as 0,1, or cpu,cpu, got {text!r}.")
    if len(set(names)) < len(names):
        raise UserError(f"--devices names a CUDA device twice: {text!r}; each takes one process.")
    count = torch.cuda.device_count()
    missing = [one for one in names if int(one) >= count]
    if missing:
        raise UserError(f"There is no CUDA device {missing[0]}; this machine has {count}, counted from 0.")
    return names


def launch(module: str, arguments: Sequence[str], devices: Sequence[str]) -> int:
    """Run `python -m module arguments` once for each device, as a group; returns the exit status of the group.

    Interrupted, it has the processes save themselves and waits for them. If one fails, the others are stopped.

    Args:
        module: that `group.joined` is called in.
        arguments: of its command line.
        devices: see `parse_devices`.
    """
    # Held here, so that the port is free and no process of the group is needed to keep the others together.
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    command = [sys.executable, "-m", module, *arguments]
    processes: list[subprocess.Popen[bytes]] = []
    # As seen before an interruption: Ctrl-C reaches the processes too.
    ended: list[int | None] = [None] * len(devices)
    # Interrupted, the processes say so themselves.
    with interrupt_on_termination(), suppress(KeyboardInterrupt):
        for rank in range(len(devices)):
            variables = {**os.environ, **group_variables(rank, devices, store.port)}
            processes.append(subprocess.Popen(command, env=variables))
        while None in ended and not any(ended):
            time.sleep(LOOK)
            ended = [one.poll() for one in processes]
    _stop(processes)
    return _status(ended, [one.returncode for one in processes])


def group_variables(rank: int, devices: Sequence[str], port: int) -> dict[str, str]:
    """What torchrun would tell the process `rank`, and its share of the cores or the CUDA devices of the group."""
    size = str(len(devices))
    variables = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        # Once gates are free, torch's C++ part warns that it looks for parameters without gradients in vain.
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    }
    if devices[0] == "cpu":
        threads = str(max((os.cpu_count() or 1) // len(devices), 1))
        return {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads, **_given(os.environ), **variables}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    known = visible.split(",") if visible else None
    return {**variables, "CUDA_VISIBLE_DEVICES": ",".join(known[int(one)] if known else one for one in devices)}


def _given(variables: Mapping[str, str]) -> dict[str, str]:
    """Numbers of threads that the user chose."""
    return {name: variables[name] for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if name in variables}


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask those that still run to save themselves; kill them after a while, or when interrupted again."""
    for one in processes:
        if one.poll() is None:
            one.send_signal(signal.SIGTERM)
    last = time.monotonic() + GRACE
    try:
        for one in processes:
            one.wait(max(last - time.monotonic(), 0.1))
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        for one in processes:
            one.kill()
            one.wait()


def _status(ended: Sequence[int | None], stopped: Sequence[int]) -> int:
    """Status of a group: that of a process which failed by itself, else that of one which was stopped.

    Args:
        ended: by process, the status with which it ended by itself; None where it was stopped.
        stopped: by process, the status in the end; negative where it was still starting and died of the signal.

    Raises:
        UserError: a process was killed that nobody stopped.
        KeyboardInterrupt: all died of being stopped and none could say so.
    """
    for rank, status in enumerate(ended):
        if status is not None and status < 0:
            raise UserError(
                f"The process of device number {rank} was killed by signal {-status}, often for lack of memory, and "
                "the others were stopped; go on with --resume."
            )
    found = next((status for status in (*ended, *stopped) if status is not None and status > 0), 0)
    if not found and any(stopped):
        raise KeyboardInterrupt
    return found
