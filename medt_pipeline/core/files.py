"""Files that are complete or absent, and JSON that says where it is broken."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError


@contextmanager
def atomic_path(target: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` on success, delete it on any exception.

    The temporary name ends as `target`, because image libraries choose the format by it.

    Args:
        target: the file.
        durable: have the content on the disk before the name, so that it outlives a power cut; takes milliseconds.
    """
    # Not the number of the process: on another machine that writes the same file, it may be the same.
    temporary = target.with_name(f".{secrets.randbits(64)}.part.{target.name}")
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target, durable=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; keys keep their order."""
    write_text(target, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def files_of_kind(source: Path, is_one: Callable[[Path], bool]) -> list[Path]:
    """Those among `source` itself or the files directly in it of which `is_one`, sorted by name, without hidden ones.

    There are none where `source` does not exist.
    """
    if not source.is_dir():
        return [source] if source.is_file() and is_one(source) else []
    files = sorted(path for path in source.iterdir() if path.is_file())
    return [path for path in files if not path.name.startswith(".") and is_one(path)]


def read_json(source: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{source} is missing.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{source} is not valid JSON ({error}); restore it or delete it and repeat the step.") from None


def require_folder(folder: Path, what: str) -> Path:
    """Return `folder` if it is one.

    Raises:
        UserError: it does not exist or is a file; `what` says what was expected there ("images", "masks").
    """
    if not folder.exists():
        raise UserError(f"The folder of {what}, {folder}, does not exist; check the spelling.")
    if not folder.is_dir():
        raise UserError(f"{folder} is a file, but a folder of {what} was expected; give the folder that holds it.")
    return folder


def make_folder(folder: Path) -> Path:
    """Create `folder` and its parents where absent.

    Raises:
        UserError: a file is in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{folder} cannot be made: a file is in the way; name another folder.") from None
    return folder


@contextmanager
def needed_folder(folder: Path) -> Iterator[Path]:
    """Yield `folder`, made with its parents where absent; delete those that were made and are empty at the end.

    Raises:
        UserError: a file is in the way.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield make_folder(folder)
    finally:
        for one in made:
            # one that holds something by now stays
            with suppress(OSError):
                one.rmdir()


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a new empty hidden folder in `parent`; delete it at the end, and with it the parents it needed, if empty.

    Raises:
        UserError: a file is in the way of `parent`.
    """
    with needed_folder(parent):
        # Not the number of the process: in containers, one that was killed and left a folder had the same.
        scratch = parent / f".{name}.{uuid.uuid4().hex}.part"
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
