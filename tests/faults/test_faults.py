"""What disturbs a command from outside: other processes, full disks, folders without rights, damaged files, clocks."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from medt_pipeline.commands import plan_and_preprocess as plan_and_preprocess_command
from medt_pipeline.commands import predict, train
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import write_png
from medt_pipeline.core.locks import locked, training_lock
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.inference.find_best import find_best
from medt_pipeline.planning.run import plan_and_preprocess, preprocess_planned
from medt_pipeline.training.logger import PlainLogger
from medt_pipeline.training.run import TrainingOptions, fold_folder, train_fold
from medt_pipeline.training.schedule import TrainingClock
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn
from tests.faults.comparison import snapshot

CPU = torch.device("cpu")


@contextlib.contextmanager
def held_by_another(file: Path) -> Iterator[None]:
    """`file` locked by another thread, which is to locks what another process is."""
    with ThreadPoolExecutor(1) as pool:
        lock = locked(file, "it")
        pool.submit(lock.__enter__).result()
        try:
            yield
        finally:
            pool.submit(lock.__exit__, None, None, None).result()


def _train(drawn: Drawn) -> object:
    options = TrainingOptions(epochs=1, quiet=True)
    return train_fold(DATASET_ID, 3, drawn.workspace.activate(), CPU, options=options)


def _convert(drawn: Drawn) -> object:
    target = Target(drawn.workspace, DATASET_ID, "Drawn", overwrite=True)
    facts = FolderOptions(labels="background=0,gland=255", groups=r"^(p\d+)")
    return convert(drawn.source / "images", drawn.source / "masks", target, facts)


def _fold_lock(drawn: Drawn) -> Path:
    return training_lock(fold_folder(drawn.workspace, DATASET_NAME, "2d", 3))


def _planning_lock(drawn: Drawn) -> Path:
    return drawn.workspace.preprocessed / f".{DATASET_NAME}.lock"


@pytest.mark.parametrize(
    ("work", "lock", "what"),
    [
        (_train, _fold_lock, "fold_3 of 2d"),
        (_train, _planning_lock, "the plan of Dataset901_Drawn"),
        (lambda drawn: plan_and_preprocess(DATASET_ID, drawn.workspace.activate(), "cpu"), _fold_lock, "of fold_3"),
        (lambda drawn: preprocess_planned(DATASET_ID, drawn.workspace.activate()), _planning_lock, "the plan of"),
        (_convert, lambda drawn: drawn.workspace.raw / ".Dataset901.lock", "data set 901"),
    ],
    ids=["two trainings", "training while planned", "planning while trained", "two plannings", "two conversions"],
)
def test_the_second_of_two_at_once_is_refused_and_changes_nothing(
    planned: Drawn,
    tmp_path: Path,
    work: Callable[[Drawn], object],
    lock: Callable[[Drawn], Path],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("medt_pipeline.core.locks.PATIENCE", 0.1)
    drawn = planned.copy(tmp_path / "workspace", "results")
    with held_by_another(lock(drawn)):
        before = snapshot(tmp_path, ["workspace"])
        with pytest.raises(UserError, match=f"Another process is at work on .*{what}"):
            work(drawn)
        assert snapshot(tmp_path, ["workspace"]) == before


def test_two_predictions_or_two_choices_at_once_are_refused(
    trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks"
    arguments = ["-i", str(trained.source / "test" / "images"), "-o", str(masks), "--workspace", str(trained.root)]
    with held_by_another(masks / ".medt_predict.lock"):
        assert predict.main(arguments) == 2
    assert "Another process is at work on the masks in" in capsys.readouterr().err
    assert [path.name for path in masks.iterdir()] == [".medt_predict.lock"]
    # There is no recipe to choose yet, so that nothing is read.
    with pytest.raises(UserError, match="No configuration"):
        find_best(DATASET_ID, trained.workspace.activate())


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def test_a_truncated_array_is_named_and_made_again(planned: Drawn, tmp_path: Path) -> None:
    drawn = planned.copy(tmp_path / "workspace", "results")
    array = sorted((drawn.preprocessed / "MedTPlans_2d").glob("*.b2nd"))[0]
    before = array.read_bytes()
    _truncate(array)
    with pytest.raises(UserError, match=rf"1 files in .* damaged, the first is {array.name}; run .* --keep-plans"):
        _train(drawn)
    preprocess_planned(DATASET_ID, drawn.workspace.activate(), quiet=True)
    assert array.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("preprocessed/{set}/MedTPlans.json", "is not valid JSON"),
        ("preprocessed/{set}/splits_final.json", "is not valid JSON"),
        ("preprocessed/{set}/dataset.json", "is not valid JSON"),
        ("results/{set}/nnUNetTrainerMedT__MedTPlans__2d/fold_0/checkpoint_final.pth", "is not a checkpoint"),
    ],
)
def test_truncated_files_are_named_and_left_as_they_are(
    trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    drawn = trained.copy(tmp_path / "workspace")
    file = drawn.root / name.format(set=DATASET_NAME)
    _truncate(file)
    before = file.read_bytes()
    assert train.main(["901", "fold0", "--resume", "--workspace", str(drawn.root)]) == 2
    told = capsys.readouterr().err
    assert str(file) in told
    assert sentence in told
    assert file.read_bytes() == before


def test_a_clock_that_jumps_changes_neither_budget_nor_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = TrainingClock(1, 0.0, 1, budget=3600.0)
    clock.start()
    logger = PlainLogger.__new__(PlainLogger)
    logged: list[float] = []
    monkeypatch.setattr("nnunetv2.training.logging.nnunet_logger.MetaLogger.log", lambda *one: logged.append(one[2]))
    logger.log("epoch_start_timestamps", time.time(), 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    logger.log("epoch_end_timestamps", time.time(), 0)
    assert 0 <= logged[1] - logged[0] < 3600
    assert not clock.budget_is_spent()
    assert clock.elapsed() >= 0


LIMITED = "import sys; from medt_pipeline.commands.{} import main; sys.exit(main(sys.argv[1:]))"


def test_an_array_that_finds_no_room_is_a_full_disk(
    planned: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = planned.copy(tmp_path / "workspace", "results")
    before = snapshot(drawn.root, ["preprocessed"])

    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("Error while creating the NDArray")

    monkeypatch.setattr("blosc2.asarray", fail)
    assert plan_and_preprocess_command.main(["-d", "901", "--workspace", str(drawn.root)]) == 2
    assert "The disk, or your share of it, is full" in capsys.readouterr().err
    assert snapshot(drawn.root, ["preprocessed"]) == before


def run_limited(module: str, arguments: list[str], bytes_a_file: int) -> subprocess.CompletedProcess[str]:
    """A command that cannot write files larger than `bytes_a_file`, as on a disk that fills."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED.format(module), *arguments],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file)),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_full_disk_stops_a_training_in_one_sentence_and_the_next_run_ends_it(planned: Drawn, tmp_path: Path) -> None:
    drawn = planned.copy(tmp_path / "workspace", "results")
    arguments = ["901", "fold0", "--epochs", "1", "--device", "cpu", "--workspace", str(drawn.root)]
    stopped = run_limited("train", arguments, 1_000_000)
    assert stopped.returncode == 2, stopped.stderr
    assert "full" in stopped.stderr
    assert stopped.stderr.count("error:") == 1
    assert not list(drawn.workspace.results.rglob("*.pth"))
    assert train.main(arguments) == 0


@pytest.mark.slow
def test_a_full_disk_stops_planning_and_predicting_too(trained: Drawn, tmp_path: Path) -> None:
    drawn = trained.copy(tmp_path / "workspace", "preprocessed")
    stopped = run_limited("plan_and_preprocess", ["-d", "901", "--workspace", str(drawn.root)], 40_000)
    assert stopped.returncode == 2, stopped.stderr
    assert "full" in stopped.stderr
    assert not (drawn.preprocessed / "MedTPlans_2d").exists()
    images = tmp_path / "images"
    images.mkdir()
    write_png(images / "noise.png", np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))
    arguments = ["-i", str(images), "-o", str(tmp_path / "masks"), "--save-probabilities", "-c", "2d"]
    stopped = run_limited("predict", [*arguments, "--workspace", str(trained.root)], 5_000)
    assert stopped.returncode == 2, stopped.stderr
    assert "full" in stopped.stderr
    assert not [path for path in (tmp_path / "masks").iterdir() if path.name != ".medt_predict.lock"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_without_rights_is_named(trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = tmp_path / "masks"
    masks.mkdir(mode=0o500)
    arguments = ["-i", str(trained.source / "test" / "images"), "-o", str(masks), "--workspace", str(trained.root)]
    assert predict.main(arguments) == 2
    assert f"not permitted ({masks}" in capsys.readouterr().err


def test_a_refusal_of_the_system_is_told_as_one_sentence(
    trained: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / "masks"))

    monkeypatch.setattr("medt_pipeline.inference.predict.locked", refuse)
    arguments = ["-i", str(trained.source / "test" / "images"), "-o", str(tmp_path / "masks")]
    assert predict.main([*arguments, "--workspace", str(trained.root)]) == 2
    assert "Writing or reading is not permitted" in capsys.readouterr().err
