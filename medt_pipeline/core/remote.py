"""Files behind URLs, as fsspec knows them (s3://, gs://, sftp://, …): fetched one by one, stored complete or absent."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medt_pipeline.core.errors import UserError, reason_of

LARGEST_FILE = 2 * 2**30
"""Bytes of a file that are fetched at most: what the temporary folder must hold."""
UPLOADS = ".medt_uploads"
"""Folder in a target where files lie until they are complete."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.")
_SECRET = re.compile(r"(?<=://)[^/@\s]+@|\?\S+")
_VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
_UNSAFE_NAME = re.compile(r'\.|.*[\\:*?"<>|\x00-\x1f]')


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL; `version` changes with its content, as far as the protocol tells."""

    url: str
    size: int | None
    version: str

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.url.rpartition("/")[2]

    def __str__(self) -> str:
        return without_secrets(self.url)


@dataclass(frozen=True)
class RemoteFolder:
    """A folder, or a file, behind a URL."""

    url: str

    def __truediv__(self, name: str) -> RemoteFolder:
        return RemoteFolder(f"{self.url}/{name}")

    def __str__(self) -> str:
        return without_secrets(self.url)


Place = Path | RemoteFolder


def place_of(text: str) -> Place:
    """What a path or a URL names.

    Raises:
        UserError: it is a URL of an unknown protocol, or of several in a chain, or of a pattern.
    """
    if not _URL.match(text):
        return Path(text)
    if "::" in text or re.search(r"[*\[]", text):
        raise UserError(f"{without_secrets(text)} must name one folder or file: no chain (::) and no pattern.")
    place = RemoteFolder(text.rstrip("/"))
    _opened(place.url)
    return place


def without_secrets(text: str) -> str:
    """The text without the names, passwords and queries of URLs in it."""
    return _SECRET.sub("", text) if "://" in text else text


def files_in(folder: RemoteFolder) -> list[RemoteFile]:
    """The file itself that the URL names, or the files directly in the folder, sorted; hidden and odd names left out.

    Raises:
        UserError: there is nothing, or it cannot be listed.
    """
    filesystem, path = _opened(folder.url)
    with _told(folder, "listed"):
        if filesystem.isfile(path):
            return [_file(folder.url, filesystem.info(path))]
        entries = [entry for entry in filesystem.ls(path, detail=True) if entry["type"] == "file"]
    named = {entry["name"].rpartition("/")[2]: entry for entry in entries}
    return [
        _file(f"{folder.url}/{name}", named[name]) for name in sorted(named) if name and not _UNSAFE_NAME.match(name)
    ]


@contextmanager
def local_copy(file: Path | RemoteFile) -> Iterator[Path]:
    """The file where it lies, or a copy of a remote one in a temporary folder that is removed at the end.

    Raises:
        UserError: it cannot be fetched, or is larger than `LARGEST_FILE`.
    """
    if isinstance(file, Path):
        yield file
        return
    filesystem, path = _opened(file.url)
    with TemporaryDirectory(prefix="medt_") as folder:
        copy = Path(folder) / file.name
        with _told(file, "fetched"), filesystem.open(path, "rb") as source, copy.open("wb") as target:
            left = LARGEST_FILE
            while left > 0 and (piece := source.read(min(2**22, left))):
                left -= target.write(piece)
            if left == 0:
                raise UserError(f"{file} is larger than the {LARGEST_FILE / 1e9:.1f} GB that are fetched at most.")
        yield copy


@contextmanager
def written(target: Place) -> Iterator[Path]:
    """A folder whose files are in `target` at the end: it itself, or a temporary one whose files are then stored.

    Each remote file is stored under another name first and renamed, so it is complete or absent.

    Raises:
        UserError: a file cannot be stored.
    """
    if isinstance(target, Path):
        yield target
        return
    with TemporaryDirectory(prefix="medt_") as name:
        folder = Path(name)
        yield folder
        filesystem, path = _opened(target.url)
        with _told(target, "written to"):
            for file in sorted(one for one in folder.rglob("*") if one.is_file()):
                _store(filesystem, file, f"{path}/{UPLOADS}", f"{path}/{file.relative_to(folder).as_posix()}")


def contents(target: Place, names: Sequence[str]) -> dict[str, bytes]:
    """Content by name of those of the files `names`, paths in `target`, that are there.

    Raises:
        UserError: one cannot be read.
    """
    found = {}
    if isinstance(target, Path):
        return {name: (target / name).read_bytes() for name in names if (target / name).is_file()}
    filesystem, path = _opened(target.url)
    with _told(target, "read"):
        for name in names:
            with suppress(FileNotFoundError):
                found[name] = bytes(filesystem.cat_file(f"{path}/{name}"))
    return found


def remove_folders(target: Place, names: Sequence[str]) -> None:
    """Remove folders in `target` with all that is in them, where they are.

    Raises:
        UserError: a remote one cannot be removed.
    """
    for name in names:
        if isinstance(target, Path):
            shutil.rmtree(target / name, ignore_errors=True)
            continue
        filesystem, path = _opened(target.url)
        with _told(target, "cleared"):
            if filesystem.exists(f"{path}/{name}"):
                filesystem.rm(f"{path}/{name}", recursive=True)


def _store(filesystem: Any, file: Path, uploads: str, target: str) -> None:
    filesystem.makedirs(uploads, exist_ok=True)
    filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
    temporary = f"{uploads}/{uuid.uuid4().hex}"
    filesystem.put_file(str(file), temporary)
    filesystem.mv(temporary, target)


def _file(url: str, entry: dict[str, Any]) -> RemoteFile:
    version = next((str(entry[key]) for key in _VERSIONS if entry.get(key) is not None), "")
    return RemoteFile(url, entry.get("size"), version)


def _opened(url: str) -> tuple[Any, str]:
    """The file system and the path in it; fsspec keeps what is open."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise UserError("URLs need fsspec; pip install 'medt_pipeline[remote]'.") from None
    with _told(url, "opened"):
        filesystem, path = url_to_fs(url)
    return filesystem, str(path).rstrip("/")


@contextmanager
def _told(what: object, done: str) -> Iterator[None]:
    """Whatever goes wrong as one sentence without secrets: each protocol raises errors of its own library."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = without_secrets(reason_of(error)).rstrip(".")
        raise UserError(f"{without_secrets(str(what))} cannot be {done} ({reason}); check it and its rights.") from None
