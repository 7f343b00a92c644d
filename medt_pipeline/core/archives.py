"""Unpacking of zip and tar archives from others: nothing is trusted, nothing lands outside the folder."""

from __future__ import annotations

import errno
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from medt_pipeline.core.errors import UserError, reason_of

ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")

MOST_BYTES = 64 * 2**30
"""Unpacked bytes of an archive: more than any public set of 2D images holds, so what is larger may be a bomb."""

_CHUNK = 2**20
RUBBISH_FOLDERS = ("__MACOSX",)
"""What macOS puts into archives beside the folders."""
_RUBBISH_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class _Member:
    """A file in an archive.

    Attributes:
        name: as stored, with / between its parts.
        size: bytes as declared, which may be a lie.
        plain: no link, device or the like.
        encrypted: cannot be read without a password.
        open: its content.
    """

    name: str
    size: int
    plain: bool
    encrypted: bool
    open: Callable[[], IO[bytes]]

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.name).parts


def is_archive(path: Path) -> bool:
    """Whether `path` is a file that `unpack` takes, by its ending."""
    return path.is_file() and path.name.lower().endswith(ARCHIVE_ENDINGS)


def unpack(archive: Path, folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Unpack all files of `archive` into the empty folder `folder`; what macOS and Windows add is left out.

    All names are looked at before the first byte is written, and bytes are counted while they are written.

    Raises:
        UserError: a name is absolute or holds "..", a member is a link or a device, two members share a name, the
            archive is encrypted, damaged, or holds more than `most_bytes` or than the disk can take.
    """
    with _opened(archive) as members:
        wanted = [member for member in members if not _is_rubbish(member)]
        _refuse_unsafe(archive, wanted)
        _refuse_too_much(archive, sum(member.size for member in wanted), most_bytes, shutil.disk_usage(folder).free)
        left = most_bytes
        for member in wanted:
            target = folder.joinpath(*member.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, target.open("xb") as written:
                while chunk := source.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise UserError(_too_much(archive, f"more than {_gigabytes(most_bytes)}"))
                    written.write(chunk)


@contextmanager
def _opened(archive: Path) -> Iterator[list[_Member]]:
    """The files in an archive; what its readers raise, also while they are read, becomes a UserError."""
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as zipped:
                yield [_zip_member(zipped, info) for info in zipped.infolist() if not info.is_dir()]
        else:
            with tarfile.open(archive) as tarred:
                yield [_tar_member(tarred, info) for info in tarred if not info.isdir()]
    except UserError:
        raise
    except OSError as error:
        # What bz2 says of wrong bytes, and seek of a place before the file; a full disk is another matter.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(archive, error) from None
    # They raise whatever the broken byte makes them raise: BadZipFile, TarError, zlib.error, IndexError, …
    except Exception as error:
        raise _damaged(archive, error) from None


def _damaged(archive: Path, error: Exception) -> UserError:
    return UserError(f"{archive} is damaged or of an unknown kind ({reason_of(error)}); download it again.")


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    # Made on Windows, an archive tells no file mode, and may part names by backslashes.
    kind = stat.S_IFMT(info.external_attr >> 16)
    plain, encrypted = kind in (0, stat.S_IFREG), bool(info.flag_bits & 1)
    return _Member(info.filename.replace("\\", "/"), info.file_size, plain, encrypted, lambda: archive.open(info))


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    def content() -> IO[bytes]:
        found = archive.extractfile(info)
        if found is None:
            raise tarfile.ReadError(f"{info.name} has no content")
        return found

    return _Member(info.name.replace("\\", "/"), info.size, info.isreg(), False, content)


def _is_rubbish(member: _Member) -> bool:
    return not member.parts or member.parts[0] in RUBBISH_FOLDERS or member.parts[-1] in _RUBBISH_FILES


def _refuse_unsafe(archive: Path, members: Sequence[_Member]) -> None:
    taken: set[str] = set()
    for member in members:
        absolute = PurePosixPath(member.name).is_absolute() or PureWindowsPath(member.name).anchor
        if absolute or ".." in member.parts:
            raise UserError(
                f"{archive} holds {member.name!r}, which would be written outside its folder; do not use this archive."
            )
        if not member.plain:
            raise UserError(f"{archive} holds {member.name!r}, a link or device; do not use this archive.")
        if member.encrypted:
            raise UserError(f"{archive} is encrypted; unpack it with its password and give the folder.")
        if member.name in taken:
            raise UserError(f"{archive} holds {member.name!r} twice; unpack it and give the folder.")
        taken.add(member.name)


def _refuse_too_much(archive: Path, size: int, most_bytes: int, free: int) -> None:
    if size > most_bytes:
        raise UserError(_too_much(archive, f"{_gigabytes(size)}, more than {_gigabytes(most_bytes)}"))
    if size > free:
        raise UserError(
            f"{archive} unpacks to {_gigabytes(size)}, but only {_gigabytes(free)} are free; make room and try again."
        )


def _too_much(archive: Path, size: str) -> str:
    return f"{archive} unpacks to {size}; if that is right, unpack it yourself and give the folder."


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
