"""The folds of a cross-validation as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from medt_pipeline.core.cluster import Needs, Task, connected
from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.planning.memory_model import PROCESS_BYTES, estimate_configuration_memory
from medt_pipeline.planning.planner import PLANS_NAME
from medt_pipeline.training.device import device_kind
from medt_pipeline.training.run import TrainingOptions, fold_folder, is_scored, train_fold


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

    @property
    def folder(self) -> Path:
        """Where its results lie."""
        name = self.workspace.dataset_name(self.dataset_id)
        return fold_folder(self.workspace, name, self.configuration, self.fold)

    @property
    def is_done(self) -> bool:
        """Whether it is trained and scored, and the probabilities of its held-out cases are kept."""
        return is_scored(self.folder, with_probabilities=True)


def train_on_ray(
    on: str,
    tasks: Sequence[FoldTask],
    device: torch.device,
    at_once: int | None,
    tell: Callable[[FoldTask], None],
) -> list[str]:
    """Train all tasks on a cluster, each in a process of its own; a lost process is begun again elsewhere.

    Every machine must see the workspace under the same path and have this package.

    Args:
        on: the cluster, as `core.cluster.connected` takes it.
        tasks: those that are to be trained.
        device: the kind of device.
        at_once: trainings at once on CPUs; None: one a machine.
        tell: is told each task that is done.

    Returns:
        The reasons of tasks that failed, with their names.

    Raises:
        UserError: Ray is missing or the cluster does not answer, or no machine has what a task needs.
        KeyboardInterrupt: interrupted; the trainings save themselves.
    """
    failed = []
    with connected(on) as cluster:
        if cluster is None:
            raise ValueError("training on a cluster needs one")
        gpus = 1 if device.type == "cuda" else 0
        # One task stands for its configuration: the estimate of its memory takes seconds.
        one_each = {task.configuration: task for task in tasks}
        needs: dict[str, Needs] = {
            name: cluster.needs(task.name, _memory(task, device), gpus, at_once) for name, task in one_each.items()
        }
        wanted = [Task(one.name, _train, (one, device.type), needs[one.configuration], alone=True) for one in tasks]
        for done, outcome in cluster.run(wanted):
            if outcome.failure is None:
                tell(done.arguments[0])
            else:
                failed.append(f"{done.name}: {outcome.failure}")
    return failed


def _train(task: FoldTask, device_type: str) -> None:
    """In a process of the cluster."""
    workspace = task.workspace.activate()
    device = torch.device(device_type)
    train_fold(task.dataset_id, task.fold, workspace, device, task.configuration, task.options, "continue")


def _memory(task: FoldTask, device: torch.device) -> int:
    """Bytes of main memory: of the whole training on a CPU, of the process beside the GPU's otherwise."""
    if device.type == "cuda":
        return PROCESS_BYTES["cpu"]
    preprocessed = task.workspace.preprocessed / task.workspace.dataset_name(task.dataset_id)
    plans, dataset_json = read_json(preprocessed / f"{PLANS_NAME}.json"), read_json(preprocessed / "dataset.json")
    return estimate_configuration_memory(plans, task.configuration, dataset_json, device_kind(device)).total
