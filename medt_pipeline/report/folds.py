"""Trained folds of a data set: what they scored, how they learned, how they were run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.report.cases import ScoreFile, read_scores
from medt_pipeline.training.curves import CURVES_FILE, read_curves
from medt_pipeline.training.run import MANIFEST, SCORES, fold_folder

VALIDATION = "validation"


@dataclass(frozen=True)
class TrainedFold:
    """One fold of a configuration.

    Attributes:
        folder: of the fold.
        curves: columns of progress.csv by name; {} where there is none.
        run: content of medt_run.json; {} where there is none.
        scores: of the held-out cases; of none where they are not scored yet.
    """

    configuration: str
    fold: int
    folder: Path
    curves: Mapping[str, Sequence[float]]
    run: Mapping[str, Any]
    scores: ScoreFile

    @property
    def masks(self) -> Path:
        """Folder of the masks of its held-out cases."""
        return self.folder / VALIDATION


def find_folds(workspace: Workspace, name: str) -> list[TrainedFold]:
    """All numbered folds of the data set `name` that were begun, sorted by configuration and number; [] for none.

    Raises:
        UserError: a file of theirs is broken.
    """
    stem = fold_folder(workspace, name, "", 0).parent.name
    folders = sorted((workspace.results / name).glob(f"{stem}*/fold_*"))
    numbered = [folder for folder in folders if folder.name.removeprefix("fold_").isdigit()]
    folds = [_read_fold(folder, folder.parent.name.removeprefix(stem)) for folder in numbered]
    return sorted(folds, key=lambda one: (one.configuration, one.fold))


def choose_configuration(folds: Sequence[TrainedFold], wanted: str | None) -> list[TrainedFold]:
    """The scored folds of the configuration `wanted`, or of the one with the most scored folds.

    Raises:
        UserError: there is none.
    """
    scored = [one for one in folds if one.scores.by_case]
    counts = Counter(one.configuration for one in scored)
    if wanted is not None and wanted not in counts:
        known = f"; scored are: {', '.join(counts)}" if counts else ""
        raise UserError(f"No fold of configuration {wanted!r} has scored its held-out cases{known}.")
    if not counts:
        raise UserError("No fold has scored its held-out cases yet; train with medt_train ID cv.")
    chosen = wanted or max(counts, key=lambda name: (counts[name], -list(counts).index(name)))
    return [one for one in scored if one.configuration == chosen]


def _read_fold(folder: Path, configuration: str) -> TrainedFold:
    scores, run = folder / VALIDATION / SCORES, folder / MANIFEST
    return TrainedFold(
        configuration,
        int(folder.name.removeprefix("fold_")),
        folder,
        read_curves(folder / CURVES_FILE),
        read_json(run) if run.exists() else {},
        read_scores(scores) if scores.exists() else ScoreFile(),
    )
