"""That two processes do not write to the same folder, and what one that was killed left there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder
from medt_pipeline.core.workspace import Workspace

PATIENCE = 10.0
"""Seconds to wait for the lock of a plan, which each training of its data set holds for a moment when it begins."""
_UNFINISHED_FILE = re.compile(r"\.\d+\.part\..+")
_UNFINISHED_FOLDER = re.compile(r"\..+\.\w+\.part")


@contextmanager
def locked(file: Path, what: str, patience: float = 0.0) -> Iterator[bool]:
    """Keep other processes, and other threads, that lock the same `file` out until the end.

    The system unlocks it when the process ends, however it ends, so nobody has to clean up; the empty file stays.
    Within a thread it may be locked again; yields whether this is the first time.

    Args:
        file: a hidden file for this purpose; its folder is made.
        what: what is worked on, for the message, such as "fold 0 of 2d".
        patience: seconds to wait for the other process.

    Raises:
        UserError: another process has locked it.
    """
    make_folder(file.parent)
    lock = FileLock(file, is_singleton=True)
    is_first = not lock.is_locked
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise UserError(
            f"Another process is at work on {what} ({file.parent}); wait until it has ended, or stop it."
        ) from None
    try:
        yield is_first
    finally:
        lock.release()


@contextmanager
def plan_locked(workspace: Workspace, dataset_name: str) -> Iterator[None]:
    """Keep others from changing plan and arrays of the data set, and from beginning to train on it.

    Raises:
        UserError: somebody plans it.
    """
    with locked(workspace.preprocessed / f".{dataset_name}.lock", f"the plan of {dataset_name}", PATIENCE):
        yield


def training_lock(fold_folder: Path) -> Path:
    """Of a fold; beside its folder, which may be deleted."""
    return fold_folder.with_name(f".{fold_folder.name}.lock")


@contextmanager
def planning_locked(workspace: Workspace, dataset_name: str) -> Iterator[None]:
    """Keep others from planning the data set and from training on it.

    Raises:
        UserError: somebody does.
    """
    with ExitStack() as held:
        held.enter_context(plan_locked(workspace, dataset_name))
        for file in sorted((workspace.results / dataset_name).glob("*/.fold_*.lock")):
            held.enter_context(locked(file, f"the training of {file.name.removeprefix('.').removesuffix('.lock')}"))
        yield


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed had not finished in `folder`, which the caller has locked.

    That is what `files.atomic_path` and `files.scratch_folder` had begun to write, of which nothing is in use.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and _UNFINISHED_FOLDER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file() and _UNFINISHED_FILE.fullmatch(path.name):
            path.unlink(missing_ok=True)
