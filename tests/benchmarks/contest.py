"""Trains variants of plan and network on real data under one budget, and prints a table of what each reached.

    python -m tests.benchmarks.contest planning --raw WORKSPACE/raw --work DIR --datasets 101 104 --minutes 30

Everything runs through the pipeline: planner, folds, trainer, validation at the images' own size. A run that is done is
in the file of results and is not run again; one that was interrupted goes on. `planning` names a file in
tests/benchmarks/variants: by variant, what of `preset`, `set`, `configuration`, `network`, `augmentation` and `stock`
differs from the pipeline's own; or, as `ensemble`, the variants whose probabilities it averages, each trained under the
budget.

`--training` has the runs train on few images ("10 images") or be scored on another kind of image than they were
trained on ("grade: benign to malignant"; see contest_splits.py). `--page FILE` draws curves, `--charts FOLDER` each of
them as SVG.

Budgets count the seconds of the training process on its own core (`--clock cpu`, one thread a run), so that runs side
by side and a busy machine cost no run more than another, or the seconds of the clock on the wall; or training steps.
`--device cuda` trains on a GPU, `--plan-for gpu` with the patches that are planned for one of 24 GB.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from PIL import Image

from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.files import make_folder, read_json, write_json, write_text
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.planning.presets import DeviceKind
from medt_pipeline.planning.run import SPLITS_FILE
from tests.benchmarks.contest_page import charts, page, shortened, svg_files, table, table_of_empty_images
from tests.benchmarks.contest_splits import ALL, splits_for

VARIANTS = Path(__file__).parent / "variants"
RESULTS = Path(__file__).parent / "results"
GPU_MEMORY = 24.0
"""GB of a GPU that is planned for, whichever trains."""


@dataclass(frozen=True)
class Run:
    """One training: data set id, name of the variant, fold, seed, and what it is trained on (see `splits_for`)."""

    dataset: int
    variant: str
    fold: int
    seed: int
    training: str = ALL


@dataclass(frozen=True)
class Budget:
    """What each run may take, on which device, and what kind of device its patches are planned for.

    Attributes:
        seconds: of `clock`, "cpu" or "wall"; None where steps count.
        steps: of the training.
    """

    seconds: float | None
    steps: int | None
    clock: str
    device: str = "cpu"
    plan_for: DeviceKind = "cpu"

    @property
    def words(self) -> str:
        """For the table."""
        where = "" if self.device == "cpu" else " on a GPU"
        plan = "" if self.plan_for == "cpu" else ", planned for a GPU"
        if self.seconds is None:
            return f"{self.steps} steps{where}{plan}"
        clock = "one core" if self.clock == "cpu" else "the clock, one thread"
        return f"{self.seconds / 60:g} minutes of {clock}{where}{plan}"


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        preprocessed: folder of the preprocessed data set.
        validation: folder of the masks of held-out images.
        steps: of the training.
        train_images: number of images that it was trained on.
        curve: moving average of the pseudo Dice by epoch, shortened.
        scores: content of medt_scores.json.
        groups: patient by image.
    """

    preprocessed: Path
    validation: Path
    steps: int
    train_images: int
    curve: list[float]
    scores: dict[str, Any]
    groups: dict[str, str]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", help="name of a file in tests/benchmarks/variants, without .json")
    parser.add_argument("--raw", type=Path, help="nnUNet_raw with the data sets; without it, only the table is printed")
    parser.add_argument("--work", type=Path, help="folder for plans and trainings")
    parser.add_argument("--datasets", type=int, nargs="+", default=[], metavar="ID")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="run and show these only")
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--training", nargs="+", default=[ALL], metavar="IMAGES")
    parser.add_argument("--page", type=Path, help="HTML page of curves to write")
    parser.add_argument("--charts", type=Path, metavar="FOLDER", help="write them as SVG too")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--plan-for", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each with one thread")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = options.minutes * 60 if options.minutes else None
    budget = Budget(seconds, options.steps, options.clock, options.device, options.plan_for)
    contest = Contest(options.variants, options.raw, options.work, budget)
    if options.one:
        contest.train(Run(**json.loads(options.one)))
        return 0
    if options.raw:
        names = options.only or list(contest.variants)
        runs = [
            Run(dataset, name, fold, seed, training)
            for dataset in options.datasets
            for training in options.training
            for fold in options.folds
            for seed in options.seeds
            for name in names
        ]
        contest.run(runs, options.jobs)
    results = [one for one in contest.results() if not options.only or one["variant"] in options.only]
    print(table(contest.variants, results))
    if missed := table_of_empty_images(contest.variants, results):
        print(f"\n{missed}")
    if options.page or options.charts:
        found = charts(contest.variants, results)
        if options.page:
            write_text(make_folder(options.page.parent) / options.page.name, page(f"Contest {options.variants}", found))
        if options.charts:
            for name, svg in svg_files(found).items():
                write_text(make_folder(options.charts) / name, svg)
    return 0


class Contest:
    """Runs of one file of variants under one budget.

    Args:
        name: of the file of variants.
        raw: nnUNet_raw.
        work: folder for plans and trainings; each variant has a workspace of its own in it.
        budget: of each run.
    """

    def __init__(self, name: str, raw: Path | None, work: Path | None, budget: Budget) -> None:
        self.name, self.raw, self.work, self.budget = name, raw, work, budget
        self.variants: dict[str, dict[str, Any]] = read_json(VARIANTS / f"{name}.json")
        self.file = RESULTS / f"{name}.jsonl"

    def results(self) -> Iterator[dict[str, Any]]:
        """All finished runs."""
        if self.file.exists():
            yield from map(json.loads, self.file.read_text(encoding="utf-8").splitlines())

    def run(self, runs: list[Run], jobs: int) -> None:
        """Plan and train what is not done, `jobs` runs at once."""
        done = {
            (one["dataset"], one["variant"], one["fold"], one["seed"], one.get("training", ALL))
            for one in self.results()
            if one["budget"] == self.budget.words
        }
        left = [
            run
            for run in runs
            if (self._dataset_name(run.dataset), run.variant, run.fold, run.seed, run.training) not in done
        ]
        for dataset, variant, training in dict.fromkeys((run.dataset, run.variant, run.training) for run in left):
            self.plan(dataset, variant, training)
        # An ensemble trains those of its members that no run before it has trained.
        ensembles = [run for run in left if "ensemble" in self.variants[run.variant]]
        for some in ([run for run in left if run not in ensembles], ensembles):
            with ThreadPoolExecutor(jobs) as pool:
                for run, status in zip(some, pool.map(self._in_process, some), strict=True):
                    print(f"{run}: {'done' if status == 0 else f'failed with status {status}'}", flush=True)

    def plan(self, dataset: int, variant: str, training: str = ALL) -> None:
        """Plan and preprocess for a variant, or for each of an ensemble, and divide the images, unless that is done."""
        from medt_pipeline.fingerprint.medt_fingerprint import read_fingerprint
        from medt_pipeline.planning.overrides import parse_overrides
        from medt_pipeline.planning.run import plan_and_preprocess

        settings = self.variants[variant]
        for member in settings.get("ensemble", []):
            self.plan(dataset, member, training)
        if "ensemble" in settings:
            return
        workspace = self._workspace(variant, 0, training).activate()
        target = workspace.preprocessed / self._dataset_name(dataset)
        if (target / "contest.json").exists() and read_json(target / "contest.json") == settings:
            return
        plan = functools.partial(plan_and_preprocess, dataset, workspace, self.budget.plan_for, quiet=True)
        assignments = list(settings.get("set", []))
        if settings.get("stock"):
            plan()
            assignments += stock_assignments(target.name)
        memory = 64.0 if settings.get("stock") else GPU_MEMORY if self.budget.plan_for == "gpu" else None
        plan(memory, settings.get("preset", "default"), overrides=parse_overrides(assignments))
        plans = read_json(target / "MedTPlans.json")
        network = plans["configurations"][settings.get("configuration", "2d")]["architecture"]["arch_kwargs"]
        network.update(settings.get("network", {}))
        if "augmentation" in settings:  # of all configurations, which inherit it
            plans["configurations"]["2d"]["medt"]["augmentation"].update(settings["augmentation"])
        write_json(target / "MedTPlans.json", plans)
        groups = {case: facts.fold_group for case, facts in read_fingerprint(target).cases.items()}
        known = read_cases(workspace.raw / target.name)
        write_json(target / SPLITS_FILE, splits_for(training, read_json(target / SPLITS_FILE), known, groups))
        write_json(target / "contest.json", settings)

    def train(self, run: Run) -> None:
        """Train one run in this process, or average those of an ensemble, and add its line to the results."""
        members = self.variants[run.variant].get("ensemble")
        outcome = self._averaged(run, members) if members else self._trained(run)
        line = {
            **vars(run),
            "dataset": self._dataset_name(run.dataset),
            "budget": self.budget.words,
            "steps": outcome.steps,
            "machine": f"{_device_name(self.budget.device)}, torch {version('torch').split('+')[0]}",
            "train_images": outcome.train_images,
            "curve": outcome.curve,
            "images": image_scores(outcome.scores, outcome.groups),
        }
        RESULTS.mkdir(exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _trained(self, run: Run, keep_probabilities: bool = False) -> Outcome:
        """Train one run, go on with it, or read what it left."""
        import torch

        from medt_pipeline.fingerprint.medt_fingerprint import read_fingerprint
        from medt_pipeline.training.run import TrainingOptions, train_fold
        from medt_pipeline.training.schedule import TrainingClock

        torch.set_num_threads(1)
        workspace = self._workspace(run.variant, run.seed, run.training).activate()
        configuration = self.variants[run.variant].get("configuration", "2d")
        preprocessed = workspace.preprocessed / self._dataset_name(run.dataset)
        epochs = None if self.budget.steps is None else self._epochs(preprocessed, configuration, self.budget.steps)
        options = TrainingOptions(epochs, self.budget.seconds, run.seed, keep_probabilities)
        now = time.process_time if self.budget.clock == "cpu" else time.monotonic
        clock = functools.partial(TrainingClock, now=now)
        with mock.patch("medt_pipeline.training.trainer.TrainingClock", clock):
            device = torch.device(self.budget.device)
            result = train_fold(run.dataset, run.fold, workspace, device, configuration, options, "continue")
        manifest = read_json(result.folder / "medt_run.json")
        groups = {case: facts.fold_group for case, facts in read_fingerprint(preprocessed).cases.items()}
        return Outcome(
            preprocessed,
            result.folder / "validation",
            self._steps(preprocessed, configuration, manifest["epochs_trained"]),
            len(read_json(preprocessed / SPLITS_FILE)[run.fold]["train"]),
            shortened(_curve(result.folder / "progress.csv")),
            result.scores or {},
            groups,
        )

    def _averaged(self, run: Run, members: list[str]) -> Outcome:
        """Average the probabilities that the `members` give to the held-out images; steps are those of all together."""
        from medt_pipeline.inference.out_of_fold import read_probabilities
        from medt_pipeline.training.run import SCORES
        from medt_pipeline.training.validation import score_validation

        outcomes = [self._trained(replace(run, variant=member), keep_probabilities=True) for member in members]
        first = outcomes[0]
        workspace = self._workspace(run.variant, run.seed, run.training)
        predictions = make_folder(workspace.results / first.preprocessed.name / f"fold_{run.fold}")
        cases = read_json(first.preprocessed / SPLITS_FILE)[run.fold]["val"]
        for case in cases:
            of_members = [read_probabilities(one.validation / f"{case}.npz") for one in outcomes]
            labels = np.mean(of_members, axis=0).argmax(0).astype(np.uint8)
            Image.fromarray(labels).save(predictions / f"{case}.png")
        references = first.preprocessed / "gt_segmentations"
        dataset_json = read_json(first.preprocessed / "dataset.json")
        score_validation(references, predictions, cases, dataset_json, workspace.raw / first.preprocessed.name)
        scores = read_json(predictions / SCORES)
        return replace(first, steps=sum(one.steps for one in outcomes), curve=[], scores=scores)

    def _in_process(self, run: Run) -> int:
        """Train one run in a process with one thread."""
        command = [sys.executable, "-m", "tests.benchmarks.contest", self.name, "--one", json.dumps(vars(run))]
        command += ["--raw", str(self.raw), "--work", str(self.work), "--clock", self.budget.clock]
        command += ["--device", self.budget.device, "--plan-for", self.budget.plan_for]
        if self.budget.seconds is not None:
            command += ["--minutes", str(self.budget.seconds / 60)]
        else:
            command += ["--steps", str(self.budget.steps)]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return subprocess.run(command, env={**os.environ, **one_thread}, check=False).returncode

    def _workspace(self, variant: str, seed: int, training: str) -> Workspace:
        if self.raw is None or self.work is None:
            raise SystemExit("--raw and --work are needed")
        name = variant if training == ALL else f"{variant}, {training}"
        name += "" if self.budget.plan_for == "cpu" else ", planned for a GPU"
        own = self.work.absolute() / re.sub(r"[ /:]", "_", name)
        return Workspace(self.raw.absolute(), own / "preprocessed", own / f"results_{self._slug}_seed{seed}")

    @property
    def _slug(self) -> str:
        return self.budget.words.replace(" ", "_").replace(",", "")

    def _dataset_name(self, dataset: int) -> str:
        if self.raw is None:
            raise SystemExit("--raw is needed")
        return next(path.name for path in self.raw.glob(f"Dataset{dataset:03d}_*"))

    @staticmethod
    def _epochs(preprocessed: Path, configuration: str, steps: int) -> int:
        return max(round(steps / _iterations(preprocessed, configuration)), 1)

    @staticmethod
    def _steps(preprocessed: Path, configuration: str, epochs: int) -> int:
        return epochs * _iterations(preprocessed, configuration)


def _device_name(device: str) -> str:
    import torch

    return platform.machine() if device == "cpu" else torch.cuda.get_device_name()


def _curve(file: Path) -> list[float]:
    """Moving average of the pseudo Dice by epoch; empty where the budget ended within the first."""
    return pd.read_csv(file)["pseudo_dice_moving_average"].tolist() if file.exists() else []


def _iterations(preprocessed: Path, configuration: str) -> int:
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(read_json(preprocessed / "MedTPlans.json"))
    return int(plans.get_configuration(configuration).configuration["medt"]["schedule"]["iterations_per_epoch"])


def stock_assignments(dataset_name: str) -> list[str]:
    """What nnU-Net's own planner says of a data set that is fingerprinted, for `--set`, and nnU-Net's recipe."""
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    plan = ExperimentPlanner(dataset_name, plans_name="contest_stock").plan_experiment()["configurations"]["2d"]
    patch_size = ",".join(str(side) for side in plan["patch_size"])
    return [
        f"patch_size={patch_size}",
        f"batch_size={plan['batch_size']}",
        "reduction=1",
        f"normalization={','.join(plan['normalization_schemes'])}",
        "architecture=UNet",
        "optimizer=SGD",
        "learning_rate=0.01",
        "weight_decay=3e-5",
        "warmup_epochs=0",
        "augmentation=nnunet",
        "foreground_oversampling=0.33",
        "deep_supervision=true",
        "batch_dice=true",
    ]


def image_scores(scores: dict[str, Any], groups: dict[str, str]) -> list[dict[str, Any]]:
    """Dice and IoU of each image in the mean over the classes that are defined, its patient, and what it shows.

    `foreground` tells whether the reference has any class in that image.
    """
    found = []
    for image in dict.fromkeys(row["image"] for row in scores["images"]):
        rows = [row for row in scores["images"] if row["image"] == image]
        values = {name: [row[name] for row in rows if row[name] is not None] for name in ("dice", "iou")}
        means = {name: round(float(np.mean(of)), 5) if of else None for name, of in values.items()}
        shows = any(row["case"] in ("both", "miss") for row in rows)
        found.append({"image": image, "group": groups[image], "foreground": shows, **means})
    return found


if __name__ == "__main__":
    sys.exit(main())
