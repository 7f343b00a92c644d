"""The folds of a cross-validation as tasks of a Ray cluster, which may lose machines while it works."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medt_pipeline.core.errors import UserError, reason_of
from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.planning.memory_model import PROCESS_BYTES, estimate_planned_memory
from medt_pipeline.planning.planner import PLANS_NAME
from medt_pipeline.training.device import device_kind
from medt_pipeline.training.run import TrainingOptions, train_fold

PREFIX = "ray"
RETRIES = 5
"""How often a task is begun again whose machine or process was lost; it goes on from its last checkpoint."""


@dataclass(frozen=True)
class FoldTask:
    """A fold of a configuration to be trained, as `train_fold` wants it."""

    dataset_id: int
    fold: int
    workspace: Workspace
    configuration: str
    options: TrainingOptions

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.configuration} fold {self.fold}"


@dataclass(frozen=True)
class Needs:
    """What a task takes of a machine: cores, GPUs and bytes of its main memory."""

    cores: float
    gpus: int
    memory: int


def parse_cluster(text: str) -> str | None:
    """The address in "ray://HOST:PORT" or "ray:HOST:PORT"; None for "ray", the cluster that this machine is part of.

    Raises:
        UserError: the text is none of these.
    """
    if text == PREFIX:
        return None
    if text.startswith("ray://"):
        return text
    if text.startswith("ray:") and len(text) > len("ray:"):
        return text.removeprefix("ray:")
    raise UserError(
        f"--on takes ray, ray:HOST:PORT (a machine of the cluster) or ray://HOST:PORT (a client), got {text!r}."
    )


def train_on_ray(
    address: str | None,
    tasks: Sequence[FoldTask],
    device: torch.device,
    at_once: int | None,
    tell: Callable[[FoldTask], None],
) -> list[str]:
    """Train all tasks on a cluster, each in a process of its own; a lost process is begun again elsewhere.

    Every machine must see the workspace under the same path and have this package.

    Args:
        address: as `parse_cluster` gives it; where it is None and there is no cluster, this machine becomes one.
        tasks: what is trained already costs nothing.
        device: the kind of device.
        at_once: trainings at once on CPUs; None: one a machine.
        tell: is told each task that is done.

    Returns:
        The reasons of tasks that failed, with their names.

    Raises:
        UserError: Ray is missing or the cluster does not answer, or no machine has what a task needs.
        KeyboardInterrupt: interrupted; the trainings save themselves.
    """
    with _connected(address) as ray:
        # One task stands for its configuration: the estimate of its memory takes seconds.
        one_each = {task.configuration: task for task in tasks}
        needs = {name: _needs(task, device, ray.nodes(), at_once) for name, task in one_each.items()}
        train = ray.remote(max_retries=RETRIES, max_calls=1)(_train)
        running = {}
        for task in tasks:
            need = needs[task.configuration]
            options = train.options(
                num_cpus=need.cores,
                num_gpus=need.gpus,
                memory=need.memory,
                name=task.name,
                runtime_env={"env_vars": _variables(task, need)},
            )
            running[options.remote(task, device.type)] = task
        return _wait(ray, running, tell)


def _variables(task: FoldTask, need: Needs) -> dict[str, str]:
    """Environment of a task's process; nnU-Net looks for its folders as soon as it is imported."""
    cores = str(int(need.cores))
    return {**task.workspace.variables(), "OMP_NUM_THREADS": cores, "NUMBA_NUM_THREADS": cores}


def _train(task: FoldTask, device_type: str) -> str | None:
    """In a process of the cluster: train, and give back why it failed."""
    try:
        workspace = task.workspace.activate()
        train_fold(
            task.dataset_id,
            task.fold,
            workspace,
            torch.device(device_type),
            task.configuration,
            task.options,
            "continue",
        )
    except UserError as error:
        return f"{error} (on {os.uname().nodename})"
    return None


def _wait(ray: Any, running: dict[Any, FoldTask], tell: Callable[[FoldTask], None]) -> list[str]:
    """Until all have ended; the reasons of those that failed."""
    failed = []
    left = list(running)
    try:
        while left:
            (done, *_), left = ray.wait(left, num_returns=1)
            task = running[done]
            try:
                reason = ray.get(done)
            # What Ray raises where a task was lost too often, or what the training raised.
            except Exception as error:
                reason = f"{type(error).__name__}: {reason_of(error, -1)}"
            if reason is None:
                tell(task)
            else:
                failed.append(f"{task.name}: {reason}")
    except KeyboardInterrupt:
        for one in left:
            ray.cancel(one)
        ray.wait(left, num_returns=len(left), timeout=SAVING_SECONDS)
        raise
    return failed


SAVING_SECONDS = 60
"""How long an interrupted command waits for the trainings to save themselves."""


def _needs(task: FoldTask, device: torch.device, nodes: Sequence[dict[str, Any]], at_once: int | None) -> Needs:
    """What a task takes, from its plan and from what the machines have.

    Raises:
        UserError: no machine has that.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU")]
    gpus = 1 if device.type == "cuda" else 0
    able = [node for node in alive if node.get("GPU", 0) >= gpus]
    if not able:
        raise UserError(f"None of the {len(alive)} machines of the Ray cluster has a GPU for Ray; use --device cpu.")
    memory = _memory(task, device)
    with_memory = [node for node in able if node.get("memory", 0) >= memory]
    if not with_memory:
        most = max(node.get("memory", 0) for node in able)
        raise UserError(
            f"{task.name} needs {memory / 1e9:.1f} GB, but the machines of the Ray cluster have at most "
            f"{most / 1e9:.1f}; plan with less --memory."
        )
    if gpus:
        cores = min(node["CPU"] // node["GPU"] for node in with_memory)
    elif at_once is None:
        cores = min(node["CPU"] for node in with_memory)
    else:
        cores = min(sum(node["CPU"] for node in with_memory) // at_once, max(node["CPU"] for node in with_memory))
    return Needs(max(float(cores), 1.0), gpus, memory)


def _memory(task: FoldTask, device: torch.device) -> int:
    """Bytes of main memory: of the whole training on a CPU, of the process beside the GPU's otherwise."""
    if device.type == "cuda":
        return PROCESS_BYTES["cpu"]
    preprocessed = task.workspace.preprocessed / task.workspace.dataset_name(task.dataset_id)
    plans, dataset_json = read_json(preprocessed / f"{PLANS_NAME}.json"), read_json(preprocessed / "dataset.json")
    settings = PlansManager(plans).get_configuration(task.configuration).configuration
    height, width = settings["patch_size"]
    needed = estimate_planned_memory(
        settings["architecture"], dataset_json, (height, width), settings["batch_size"], device_kind(device)
    )
    return needed.total


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected; an own cluster of this machine alone where there is none."""
    try:
        import ray
    except ImportError:
        raise UserError("Ray is not installed; pip install 'medt_pipeline[cluster]' on every machine.") from None
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address is None else None,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"The Ray cluster {address or ''} does not answer ({reason_of(error)}); start it with ray start."
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()
