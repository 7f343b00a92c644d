from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, scratch_folder
from medt_pipeline.core.locks import locked, plan_locked, planning_locked, remove_unfinished, training_lock
from medt_pipeline.core.workspace import Workspace

HOLD = """
import sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print(flush=True)
sys.stdin.read()
"""


def test_another_process_is_refused_until_the_first_has_ended_however_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "new" / ".lock"
    file.parent.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(UserError, match=r"at work on fold 0 \(.*new\); wait"), locked(file, "fold 0"):
        pass
    holder.kill()
    holder.communicate()
    with locked(file, "fold 0"):
        pass


def test_another_thread_is_refused_and_the_same_one_is_not(tmp_path: Path) -> None:
    def lock() -> bool:
        with locked(tmp_path / ".lock", "it") as is_first:
            return is_first

    with locked(tmp_path / ".lock", "it") as is_first, ThreadPoolExecutor(1) as pool:
        assert is_first
        assert not lock()
        with pytest.raises(UserError, match="Another process is at work on it"):
            pool.submit(lock).result()
    assert lock()


def test_nobody_plans_what_is_trained(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "raw", tmp_path / "preprocessed", tmp_path / "results")
    fold = training_lock(workspace.results / "Dataset001_A" / "model" / "fold_0")

    def plan(name: str) -> None:
        with planning_locked(workspace, name):
            pass

    with locked(fold, "fold_0"), ThreadPoolExecutor(1) as pool:
        with pytest.raises(UserError, match="the training of fold_0"):
            pool.submit(plan, "Dataset001_A").result()
        pool.submit(plan, "Dataset002_B").result()
    plan("Dataset001_A")


def test_who_begins_at_the_same_time_waits_for_a_moment(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "raw", tmp_path / "preprocessed", tmp_path / "results")

    def begin(number: int) -> int:
        with plan_locked(workspace, "Dataset001_A"):
            return number

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(begin, range(12))) == list(range(12))


def test_only_what_was_not_finished_is_removed(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("a.png", ".hidden", ".lock", "part", ".1.part", "a.part.png")]
    for file in kept:
        file.write_text("")
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "b.png") as file:
        file.write_text("half")
        left = file.name
        raise KeyboardInterrupt
    (tmp_path / left).write_text("as if it had been killed")
    with scratch_folder(tmp_path, "Set") as folder:
        (tmp_path / folder.name.replace("Set", "Other")).mkdir()
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    remove_unfinished(tmp_path / "absent")
