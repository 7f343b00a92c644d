"""The commands that are disturbed: what each starts from, what it is called with, and what it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DATASET = "Dataset901_Drawn"
PRINTED = "printed.txt"
SCHEDULE = {
    "iterations_per_epoch": 2,
    "validation_iterations_per_epoch": 1,
    "warmup_epochs": 1,
    "epochs": 6,
    "gates_fixed_epochs": 1,
}


@dataclass(frozen=True)
class Stage:
    """A command in a folder that holds `source/` and `workspace/`.

    Attributes:
        module: name of the command's module.
        arguments: of its command line, {root} for the folder.
        inputs: folders that it must leave as they are.
        outputs: folders that it writes.
        after: stages that must have run before.
        arrange: what is done to the folder before it runs.
    """

    module: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    after: tuple[str, ...] = ()
    arrange: Callable[[Path], None] = lambda root: None

    def command(self, root: Path) -> list[str]:
        """The command line."""
        filled = [one.replace("{root}", str(root)) for one in self.arguments]
        script = f"import sys; from medt_pipeline.commands.{self.module} import main; sys.exit(main())"
        return [sys.executable, "-c", script, *filled, "--workspace", f"{root}/workspace"]

    def start(self, root: Path) -> subprocess.Popen[bytes]:
        """Run it in a process of its own; what it prints goes to a file."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("nnUNet", "MEDT"))}
        with (root / PRINTED).open("wb") as file:
            return subprocess.Popen(
                self.command(root), stdout=file, stderr=file, env={**variables, "OMP_NUM_THREADS": "1"}
            )

    def printed(self, root: Path) -> str:
        """What it printed when it was started last."""
        return (root / PRINTED).read_text(errors="replace")

    def run(self, root: Path) -> tuple[int, str]:
        """Run it to the end; returns its exit status and what it printed."""
        status = self.start(root).wait()
        return status, self.printed(root)


def _shorten(root: Path) -> None:
    """Few steps, and two folds."""
    folder = root / "workspace" / "preprocessed" / DATASET
    plans = json.loads((folder / "MedTPlans.json").read_text())
    plans["configurations"]["2d"]["medt"]["schedule"] |= SCHEDULE
    (folder / "MedTPlans.json").write_text(json.dumps(plans))
    splits = json.loads((folder / "splits_final.json").read_text())
    # The same patients in both, because all must be held out once.
    halves = [sorted(case for split in splits[part::2] for case in split["val"]) for part in range(2)]
    (folder / "splits_final.json").write_text(
        json.dumps([{"train": halves[1 - fold], "val": halves[fold]} for fold in range(2)])
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


STAGES = {
    "convert": Stage(
        "convert",
        _words(
            "folder --images {root}/source/images --masks {root}/source/masks -d 901 -n Drawn --overwrite "
            r"--labels background=0,gland=255 --groups ^(p\d+)"
        ),
        ("source",),
        ("workspace/raw",),
        ("convert",),  # it replaces an older data set, which it says
    ),
    "plan": Stage(
        "plan_and_preprocess",
        ("-d", "901", "--device", "cpu"),
        ("source", "workspace/raw"),
        ("workspace/preprocessed",),
        ("convert",),
    ),
    "train": Stage(
        "train",
        ("901", "cv", "--device", "cpu"),
        ("source", "workspace/raw", "workspace/preprocessed"),
        ("workspace/results",),
        ("convert", "plan"),
        _shorten,
    ),
    "find_best": Stage(
        "find_best",
        ("901",),
        ("source", "workspace/raw", "workspace/preprocessed"),
        ("workspace/results",),
        ("convert", "plan", "train"),
    ),
    "predict": Stage(
        "predict",
        _words(
            "-d 901 -i {root}/source/test/images -o {root}/masks -c 2d --device cpu "
            "--overlays --uncertainty --save-probabilities"
        ),
        ("source", "workspace/raw", "workspace/preprocessed", "workspace/results"),
        ("masks",),
        ("convert", "plan", "train"),
    ),
}


def draw(root: Path, patients: int = 5) -> None:
    """Images and masks of a drawn set, two a patient, in `root`/source."""
    from medt_pipeline.demo.drawing import write_drawn_set

    write_drawn_set(root / "source", "histology", patients, 2, (64, 96), seed=3)


def made_ready(name: str, root: Path) -> None:
    """Draw a set in `root` and run what stands before the stage `name`.

    Raises:
        RuntimeError: a stage before it failed.
    """
    draw(root)
    for earlier in STAGES[name].after:
        STAGES[earlier].arrange(root)
        status, printed = STAGES[earlier].run(root)
        if status:
            raise RuntimeError(f"{earlier} ended with {status}: {printed}")
    STAGES[name].arrange(root)


def copied(base: Path, target: Path) -> Path:
    """A copy of the folder of a stage, modification times included."""
    shutil.copytree(base, target)
    return target
