"""What all tests share: the real data sets, and a small drawn data set that is converted, planned and trained once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from medt_pipeline.core.interruption import handler_kept
from medt_pipeline.core.workspace import Workspace

# No test asserts a time, so hypothesis must not either: a busy machine would fail it.
settings.register_profile("medt", deadline=None)
settings.load_profile("medt")

_REPOSITORY = Path(__file__).resolve().parent.parent

DATASET_ID = 901
DATASET_NAME = "Dataset901_Drawn"
SIZE = (64, 96)
MODEL = "nnUNetTrainerMedT__MedTPlans__2d"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process ends with them while the others have nothing left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """`real_data("glas")` gives the folder of a real data set, and skips the test where it is absent."""
    root = Path(os.environ.get("MEDT_TEST_DATA") or _REPOSITORY.parent / "shared" / "data")

    def folder(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"the real data set {name} is not in {root}; set MEDT_TEST_DATA")
        return root / name

    return folder


@dataclass(frozen=True)
class Drawn:
    """A drawn data set in a workspace of its own.

    Attributes:
        source: images/, masks/ and test/ as drawn.
        root: the workspace folder.
    """

    source: Path
    root: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace.locate(self.root)

    @property
    def preprocessed(self) -> Path:
        return self.workspace.preprocessed / DATASET_NAME

    def copy(self, target: Path, *left_out: str) -> Drawn:
        """The same in another folder, for tests that change files, without the folders `left_out`.

        The workspace is shared by the session, so a later stage's files may be there already.
        """
        shutil.copytree(self.root, target, ignore=shutil.ignore_patterns(*left_out))
        return Drawn(self.source, target)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees or leaves variables of nnU-Net or ours, which `Workspace.activate` sets."""
    names = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "nnUNet_extTrainer", "nnUNet_n_proc_DA")
    for name in (*names, "MEDT_WORKSPACE", "MEDT_ATTENTION_BACKEND"):
        # setenv first, so that monkeypatch restores what the test itself sets.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield


@pytest.fixture
def ray_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ray, for clusters on this machine whatever else it does: tasks count as tests, and die of no full memory.

    It leaves a handler of SIGTERM behind, which other tests would find.
    """
    ray = pytest.importorskip("ray", reason="the extra [cluster] is not installed")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")
    with handler_kept():
        yield ray


@pytest.fixture
def ray_cluster(ray_alone: Any) -> Iterator[Any]:
    """Ray, connected to a cluster of this machine alone that has two cores."""
    ray = ray_alone
    ray.init("local", num_cpus=2, _memory=4 * 10**9, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Ten drawn histology images of five patients, converted."""
    from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
    from medt_pipeline.dataset_conversion.target import Target
    from medt_pipeline.demo.drawing import write_drawn_set

    folder = tmp_path_factory.mktemp("drawn")
    write_drawn_set(folder / "source", "histology", 5, 2, SIZE, seed=3)
    drawn = Drawn(folder / "source", folder / "workspace")
    facts = FolderOptions(labels="background=0,gland=255", groups=r"^(p\d+)")
    convert(drawn.source / "images", drawn.source / "masks", Target(drawn.workspace, DATASET_ID, "Drawn"), facts)
    return drawn


@pytest.fixture(scope="session")
def planned(converted: Drawn) -> Drawn:
    """The same, planned and preprocessed."""
    from medt_pipeline.planning.run import plan_and_preprocess

    plan_and_preprocess(DATASET_ID, converted.workspace.activate(), "cpu", quiet=True)
    return converted


@pytest.fixture(scope="session")
def trained(planned: Drawn) -> Drawn:
    """The same, with fold 0 and fold 1 of MedT trained for two epochs."""
    import torch

    from medt_pipeline.training.run import TrainingOptions, train_fold

    for fold in (0, 1):
        options = TrainingOptions(epochs=2, quiet=True)
        train_fold(DATASET_ID, fold, planned.workspace.activate(), torch.device("cpu"), options=options)
    return planned


@pytest.fixture(scope="session")
def model_file(trained: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two trained folds as one file, with a licence and a preview."""
    import numpy as np

    from medt_pipeline.inference.export import ExportOptions
    from tests.inference.model_files import exported

    options = ExportOptions("CC BY 4.0", np.zeros((4, 6, 3), np.uint8))
    return exported(trained, tmp_path_factory.mktemp("exported") / "drawn.medt", options)


@pytest.fixture(scope="session")
def selected(trained: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """The trained data set with a recipe of both folds in two members, post-processing, quality and scores."""
    drawn = trained.copy(tmp_path_factory.mktemp("selected") / "workspace")
    members = [{"model": MODEL, "configuration": "2d", "folds": [1], "weight": 1.0}]
    steps = {"1": {"steps": [{"step": "remove_small_objects", "min_area_px": 30.0}], "splitting": None}}
    interval = {"value": 0.7, "low": 0.6, "high": 0.8}
    by_class = {"gland": {"dice": interval, "iou": interval}}
    recipe = {
        "format": 1,
        "members": members,
        "postprocessing": {"version": 1, "smoothing_px": 0.5, "classes": steps},
        "quality": {
            "slope": 0.5,
            "offset": 0.2,
            "correlation": float("nan"),
            "rank_correlation": 0.4,
            "error": 0.1,
            "images": 10,
        },
        "score": {"mean_dice": interval, "mean_iou": interval, "by_class": by_class, "images": 10, "groups": 5},
    }
    (drawn.workspace.results / DATASET_NAME / "inference.json").write_text(json.dumps(recipe))
    return drawn
