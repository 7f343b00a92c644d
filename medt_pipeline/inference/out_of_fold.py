"""Probabilities of every case by the networks that were not trained on it, as cross-validation left them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.evaluation.label_maps import read_label_map
from medt_pipeline.fingerprint.medt_fingerprint import read_fingerprint
from medt_pipeline.planning.run import INSTANCES_FOLDER, SPLITS_FILE
from medt_pipeline.training.run import MANIFEST, fold_folder, is_scored


@dataclass(frozen=True)
class OutOfFold:
    """The held-out cases of a data set and what each configuration says of them.

    Attributes:
        dataset_json: content of dataset.json.
        cases: names, sorted.
        fold_of: fold that held out each case.
        group_of: patient of each case.
        folders: by configuration and fold, the folder of the validation.
        references: folder of the label maps.
        raw: folder of the raw data set, with sizes of pixels and instance maps; None where it is not here.
        seconds: median seconds an image by configuration, for one network.
        left_out: sentences on configurations that are not complete.
    """

    dataset_json: dict[str, Any]
    cases: tuple[str, ...]
    fold_of: dict[str, int]
    group_of: dict[str, str]
    folders: dict[str, tuple[Path, ...]]
    references: Path
    raw: Path | None
    seconds: dict[str, float]
    left_out: tuple[str, ...]

    @property
    def configurations(self) -> list[str]:
        """Those with all folds."""
        return list(self.folders)

    @property
    def groups(self) -> list[str]:
        """Patient of each of `cases`."""
        return [self.group_of[case] for case in self.cases]

    @property
    def folds(self) -> list[int]:
        """Fold of each of `cases`."""
        return [self.fold_of[case] for case in self.cases]

    def probabilities(self, case: str, configurations: Sequence[str]) -> dict[str, np.ndarray]:
        """By configuration, (classes, H, W) float32.

        Raises:
            UserError: a file is broken.
        """
        return {
            name: read_probabilities(self.folders[name][self.fold_of[case]] / f"{case}.npz") for name in configurations
        }

    def reference(self, case: str) -> np.ndarray:
        """Label map (H, W)."""
        return read_label_map(self.references / f"{case}{self.dataset_json['file_ending']}")

    @property
    def has_instances(self) -> bool:
        """Whether the raw data know the objects of every case."""
        return all(self._instance_file(case) is not None for case in self.cases)

    def instances(self, case: str) -> np.ndarray | None:
        """Instance map (H, W) of the raw data; None where there is none."""
        file = self._instance_file(case)
        return None if file is None else read_label_map(file)

    def _instance_file(self, case: str) -> Path | None:
        file = None if self.raw is None else self.raw / INSTANCES_FOLDER / f"{case}.png"
        return file if file is not None and file.is_file() else None


def read_probabilities(file: Path) -> np.ndarray:
    """Class probabilities (classes, H, W) float32 that a training kept of a held-out case.

    Raises:
        UserError: the file is broken.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return np.asarray(arrays["probabilities"][:, 0], np.float32)
    # A truncated file raises whatever zip and NumPy make of it.
    except Exception as error:
        raise UserError(
            f"{file} cannot be read ({error}); delete it and run medt_train … cv again, which predicts it anew."
        ) from error


def open_out_of_fold(workspace: Workspace, dataset_id: int) -> OutOfFold:
    """Find what cross-validation left.

    Raises:
        UserError: no configuration has all folds with probabilities, or the data set has regions of several labels.
    """
    name = workspace.dataset_name(dataset_id)
    preprocessed = workspace.preprocessed / name
    dataset_json = read_json(preprocessed / "dataset.json")
    labels = {key: value for key, value in dataset_json["labels"].items() if key != "ignore"}
    if sorted(map(str, labels.values())) != sorted(str(value) for value in range(len(labels))):
        raise UserError(f"{name} has regions of several labels, among which medt_find_best cannot choose.")
    splits = read_json(preprocessed / SPLITS_FILE)
    fold_of = {case: fold for fold, split in enumerate(splits) for case in split["val"]}
    facts = read_fingerprint(preprocessed).cases
    folders, seconds, left_out = _complete(workspace, name, len(splits))
    if not folders:
        reasons = f": {'; '.join(left_out)}" if left_out else ""
        raise UserError(
            f"No configuration of {name} has all {len(splits)} folds with probabilities{reasons}; "
            f"run medt_train {dataset_id} cv."
        )
    groups = {case: facts[case].fold_group for case in fold_of}
    cases = tuple(sorted(fold_of))
    references, raw = preprocessed / "gt_segmentations", workspace.raw / name
    known = raw if raw.is_dir() else None
    return OutOfFold(dataset_json, cases, fold_of, groups, folders, references, known, seconds, left_out)


def _complete(
    workspace: Workspace, name: str, count: int
) -> tuple[dict[str, tuple[Path, ...]], dict[str, float], tuple[str, ...]]:
    """Folders and seconds an image of the configurations with all folds, and sentences on the others."""
    folders, seconds, left_out = {}, {}, []
    model_folder = fold_folder(workspace, name, "", 0).parent.name
    for model in sorted((workspace.results / name).glob(f"{model_folder}*")):
        configuration = model.name.removeprefix(model_folder)
        found = [fold_folder(workspace, name, configuration, fold) for fold in range(count)]
        missing = [str(fold) for fold, folder in enumerate(found) if not is_scored(folder, with_probabilities=True)]
        if missing:
            left_out.append(f"{configuration} lacks fold {', '.join(missing)}")
            continue
        folders[configuration] = tuple(folder / "validation" for folder in found)
        times = [read_json(folder / MANIFEST).get("seconds_per_image", 0.0) for folder in found]
        seconds[configuration] = float(np.median(times))
    return folders, seconds, tuple(left_out)
