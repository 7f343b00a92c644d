"""The raw data set folder to be written: checked first, built beside its place, put there when complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.archives import is_archive, unpack
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import needed_folder, require_folder, scratch_folder
from medt_pipeline.core.locks import locked
from medt_pipeline.core.workspace import Workspace, new_dataset_name

OLD = ".old"
"""Ends the name of a data set while it is being replaced."""


@dataclass(frozen=True)
class Target:
    """Where a conversion goes.

    Attributes:
        dataset_id: 1 to 999.
        overwrite: an older data set of this id and name may be replaced.
        check_only: look at the source and decide, but write nothing.
    """

    workspace: Workspace
    dataset_id: int
    name: str
    overwrite: bool = False
    check_only: bool = False

    @property
    def dataset_name(self) -> str:
        """Folder name, e.g. "Dataset101_GlaS".

        Raises:
            UserError: id or name are out of range.
        """
        return new_dataset_name(self.dataset_id, self.name)

    @property
    def folder(self) -> Path:
        """The finished raw data set."""
        return self.workspace.raw / self.dataset_name

    def check(self, *sources: Path) -> None:
        """Refuse before any work is done; nothing is created, and with `check_only` nothing can be in the way.

        Raises:
            UserError: the id is taken (by another name: always; by this one: unless `overwrite`), or `sources` lie in
                the data set that would be replaced.
        """
        if self.check_only:
            return
        same_id = f"Dataset{self.dataset_id:03d}_"
        others = [
            name for name in self.workspace.dataset_names() if name.startswith(same_id) and name != self.dataset_name
        ]
        if others:
            raise UserError(
                f"The id {self.dataset_id} belongs to {', '.join(others)} in {self.workspace.raw.parent}; "
                "take another id with -d, or delete that data set first."
            )
        if not self.folder.exists():
            return
        if not self.overwrite:
            raise UserError(f"{self.folder} exists; take another id with -d, or replace it with --overwrite.")
        if any(source.resolve().is_relative_to(self.folder.resolve()) for source in sources):
            raise UserError(
                f"The source lies in {self.folder}, which --overwrite would delete; take another id with -d."
            )

    @contextmanager
    def opened(self, source: Path, what: str) -> Iterator[Path]:
        """Yield the folder `source`, or what the archive `source` holds, unpacked beside the target until the end.

        Raises:
            UserError: as for `check`, `core.files.require_folder` (`what` was expected there) and
                `core.archives.unpack`.
        """
        self.check(source)
        if not is_archive(source):
            yield require_folder(source, what)
            return
        with self._kept(), scratch_folder(self.workspace.raw, f"{self.dataset_name}.source") as folder:
            unpack(source, folder)
            try:
                yield folder
            except UserError as error:
                # The folder is gone when the message is read.
                raise UserError(str(error).replace(str(folder), str(source))) from None

    @contextmanager
    def building(self) -> Iterator[Path]:
        """Yield an empty folder beside the target; on success it takes the target's place, else it is deleted.

        Raises:
            UserError: as for `check`; or another process writes a data set of this id.
        """
        with self._kept(), scratch_folder(self.workspace.raw, self.dataset_name) as part:
            # Another process may have written the data set until now.
            self.check()
            old = part.with_suffix(OLD)
            try:
                yield part
                if self.folder.exists():
                    self.folder.rename(old)
                part.rename(self.folder)
            finally:
                if old.exists() and not self.folder.exists():
                    old.rename(self.folder)
        if old.exists():
            shutil.rmtree(old)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep others from writing data sets of this id, and mend what one of them left that was killed."""
        raw, same_id = self.workspace.raw, f".Dataset{self.dataset_id:03d}"
        if self.check_only:
            yield
            return
        lock = raw / f"{same_id}.lock"
        with needed_folder(raw), locked(lock, f"data set {self.dataset_id}") as is_first:
            if is_first:
                for left in raw.glob(f"{same_id}_*{OLD}"):
                    _bring_back(left)
                for left in raw.glob(f"{same_id}_*.part"):
                    shutil.rmtree(left)
            try:
                yield
            finally:
                # A conversion that is refused leaves nothing; where the file cannot go while it is open, it stays.
                if is_first:
                    with suppress(OSError):
                        lock.unlink()


def mend(workspace: Workspace, dataset_id: int) -> None:
    """Put a data set back in its place whose replacing was stopped by a kill, under whatever name; else do nothing.

    Raises:
        UserError: another process writes a data set of this id.
    """
    with Target(workspace, dataset_id, "")._kept():
        pass


def _bring_back(old: Path) -> None:
    """Undo the replacing of a data set that was stopped before the new one was in its place."""
    place = old.with_name(old.name.removeprefix(".").removesuffix(OLD).rpartition(".")[0])
    if place.exists():
        shutil.rmtree(old)
    else:
        old.rename(place)
