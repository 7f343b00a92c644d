"""All folds of one or several configurations: one after another, or several at once in processes of their own."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder, read_json, write_json, write_text
from medt_pipeline.core.interruption import interrupt_on_termination
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.planning.run import SPLITS_FILE
from medt_pipeline.training.group import Group
from medt_pipeline.training.ray_tasks import FoldTask, train_on_ray
from medt_pipeline.training.run import SCORES, TrainingOptions, train_fold

TABLE = "medt_cross_validation"
"""Stem of the table's files in the results of the data set."""
LOG = "medt_train.log"


@dataclass(frozen=True)
class FoldScore:
    """Scores of the held-out cases of one fold; means over classes and images, 0 to 1, nan where nothing is defined."""

    configuration: str
    fold: int
    images: int
    dice: float
    iou: float


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over folds; the latter is 0 for one fold."""

    mean: float
    sd: float


@dataclass(frozen=True)
class CrossValidation:
    """Scores of all folds of all configurations, and where they were written."""

    folds: tuple[FoldScore, ...]
    file: Path

    def spread(self, configuration: str, score: str) -> Spread:
        """Of "dice" or "iou" over the folds of a configuration."""
        values = [getattr(one, score) for one in self.folds if one.configuration == configuration]
        return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)

    def to_text(self) -> str:
        """A table with a line a fold, and the mean over folds ± standard deviation for each configuration."""
        lines = [f"{'configuration':16}{'fold':>6}{'images':>8}{'Dice':>16}{'IoU':>16}"]
        for configuration in dict.fromkeys(one.configuration for one in self.folds):
            own = [one for one in self.folds if one.configuration == configuration]
            lines += [f"{configuration:16}{one.fold:>6}{one.images:>8}{one.dice:>16.3f}{one.iou:>16.3f}" for one in own]
            dice, iou = (self.spread(configuration, score) for score in ("dice", "iou"))
            images = sum(one.images for one in own)
            spreads = f"{f'{dice.mean:.3f} ± {dice.sd:.3f}':>16}{f'{iou.mean:.3f} ± {iou.sd:.3f}':>16}"
            lines.append(f"{configuration:16}{'mean':>6}{images:>8}{spreads}")
        return "\n".join(lines)


def cross_validate(
    dataset_id: int,
    workspace: Workspace,
    device: torch.device,
    configurations: Sequence[str],
    options: TrainingOptions,
    jobs: int = 1,
    report: Callable[[str], None] = lambda line: None,
    on: str | None = None,
) -> CrossValidation:
    """Train what is not yet trained of all folds of `configurations`, and keep the probabilities of held-out cases.

    Interrupted, it goes on where it was when it is called again.

    Args:
        dataset_id: a planned data set.
        workspace: an activated workspace.
        device: where to train; several jobs on CUDA take its devices in turn.
        configurations: names in the plans file.
        options: length, seed, display; probabilities are kept whatever they say.
        jobs: trainings at once.
        report: is told one line for each fold that is done.
        on: a Ray cluster, as `core.cluster.parse_cluster` reads it, whose machines train instead of this one.

    Raises:
        UserError: as `train_fold`; with several jobs after the other folds were trained, with all reasons.
        KeyboardInterrupt: interrupted; what was trained is saved.
    """
    options = replace(options, save_probabilities=True)
    name = workspace.dataset_name(dataset_id)
    count = _count_folds(workspace, name, dataset_id)
    tasks = [
        FoldTask(dataset_id, fold, workspace, configuration, options)
        for configuration in configurations
        for fold in range(count)
    ]
    done = 0

    def tell(task: FoldTask) -> None:
        nonlocal done
        done += 1
        report(f"{task.name}: Dice {_score(task).dice:.3f} ({done} of {len(tasks)})")

    if on is not None:
        left = [task for task in tasks if not task.is_done]
        _require_none(train_on_ray(on, left, device, jobs if jobs > 1 else None, tell), tasks)
    elif jobs == 1:
        for task in tasks:
            train_fold(dataset_id, task.fold, workspace, device, task.configuration, options, "continue")
            tell(task)
    else:
        _require_none(_Processes(dataset_id, workspace, device, options, jobs).run(tasks, tell), tasks)
    return _written(workspace.results / name, tuple(_score(task) for task in tasks))


def _count_folds(workspace: Workspace, name: str, dataset_id: int) -> int:
    splits = workspace.preprocessed / name / SPLITS_FILE
    if not splits.exists():
        raise UserError(f"{name} is not planned yet; run medt_plan_and_preprocess -d {dataset_id}.")
    count = len(read_json(splits))
    if not count:
        raise UserError(f"{name} has no folds: too few groups; `medt_train {dataset_id} all` trains on all cases.")
    return count


def _require_none(failed: Sequence[str], tasks: Sequence[FoldTask]) -> None:
    if failed:
        raise UserError(f"{len(failed)} of {len(tasks)} folds failed:\n  - " + "\n  - ".join(failed))


class _Processes:
    """Trains folds in processes, a number of them at a time."""

    def __init__(
        self, dataset_id: int, workspace: Workspace, device: torch.device, options: TrainingOptions, jobs: int
    ) -> None:
        self.dataset_id, self.workspace, self.device = dataset_id, workspace, device
        self.options, self.jobs = options, jobs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, tasks: Sequence[FoldTask], tell: Callable[[FoldTask], None]) -> list[str]:
        """Train all; a fold that fails does not stop the others. Returns the reasons of those that failed."""
        failed = []
        with interrupt_on_termination(), ThreadPoolExecutor(self.jobs) as pool:
            slots = list(range(self.jobs))
            futures = {pool.submit(self._train, task, slots): task for task in tasks}
            try:
                for future, task in futures.items():
                    error = future.result()
                    if error is None:
                        tell(task)
                    else:
                        failed.append(f"{task.name}: {error}")
            except KeyboardInterrupt:
                self._stop(futures)
                raise
        return failed

    def _train(self, task: FoldTask, slots: list[int]) -> str | None:
        """Train one fold; returns the last line that it said where it failed."""
        if task.is_done:
            return None
        with self._lock:
            slot = slots.pop()
        log = make_folder(task.folder) / LOG
        try:
            with log.open("ab") as file:
                with self._lock:
                    if self._stopped:
                        return "stopped"
                    process = subprocess.Popen(self._command(task), stdout=file, stderr=file, env=self._variables(slot))
                    self._running.add(process)
                status = process.wait()
        finally:
            with self._lock:
                slots.append(slot)
                self._running.discard(process)
        if status == 0:
            return None
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{said[-1] if said else f'exit status {status}'} (see {log})"

    def _stop(self, futures: dict) -> None:
        """Have running trainings save themselves, and start no other."""
        with self._lock:
            self._stopped = True
            for future in futures:
                future.cancel()
            for process in self._running:
                process.terminate()

    def _command(self, task: FoldTask) -> list[str]:
        options = self.options
        command = [sys.executable, "-m", "medt_pipeline.commands.train", str(self.dataset_id), f"fold{task.fold}"]
        command += ["-c", task.configuration, "--continue", "--save-probabilities", "--seed", str(options.seed)]
        command += ["--device", self.device.type]
        if options.epochs is not None:
            command += ["--epochs", str(options.epochs)]
        if options.time_budget is not None:
            command += ["--time-budget", f"{options.time_budget}s"]
        return command

    def _variables(self, slot: int) -> dict[str, str]:
        """The environment of a training: this workspace, and its share of the cores or a CUDA device."""
        variables = {name: value for name, value in os.environ.items() if name != "MEDT_WORKSPACE"}
        variables |= self.workspace.variables()
        if self.device.type == "cuda":
            return {**variables, "CUDA_VISIBLE_DEVICES": str(slot % torch.cuda.device_count())}
        threads = str(max((os.cpu_count() or 1) // self.jobs, 1))
        return {**variables, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}


def _score(task: FoldTask) -> FoldScore:
    scores = read_json(task.folder / "validation" / SCORES)
    mean = scores["mean_over_classes"]["mean"]
    dice, iou = (math.nan if mean[score] is None else float(mean[score]) for score in ("dice", "iou"))
    return FoldScore(task.configuration, task.fold, scores["images_scored"], dice, iou)


def _written(folder: Path, folds: tuple[FoldScore, ...]) -> CrossValidation:
    result = CrossValidation(folds, folder / f"{TABLE}.json")
    spreads = {
        configuration: {score: asdict(result.spread(configuration, score)) for score in ("dice", "iou")}
        for configuration in dict.fromkeys(one.configuration for one in folds)
    }
    if not Group().is_first:
        return result
    write_json(result.file, {"folds": [asdict(one) for one in folds], "over_folds": spreads})
    write_text(folder / f"{TABLE}.txt", result.to_text() + "\n")
    return result
