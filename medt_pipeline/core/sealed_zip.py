"""Zip files whose every byte is vouched for: members are stored as they are, and a checksum of all before it ends it.

The checksum finds damage and careless changes. It is no signature: who changes a file on purpose can seal it again.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path

MOST_MEMBERS = 1000
MOST_BYTES = 16 * 2**30
"""Of a file: more than any ensemble of 2D networks holds."""

_SEAL = re.compile(rb"sha256:([0-9a-f]{64})")
_SEAL_LENGTH = len("sha256:") + 64
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
"""Of members: relative, of plain letters, no part hidden or "..", no colon or backslash."""
_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that zip knows, so that the same content gives the same bytes."""
_UNIX = 3
_CHUNK = 2**20


def write_sealed(target: Path, members: Iterable[tuple[str, bytes]]) -> str:
    """Write `members`, names and contents in their order, atomically; the same members give the same bytes.

    Returns:
        The checksum that ends the file: SHA-256 of all before it, in hexadecimal digits.

    Raises:
        ValueError: a name is not of the kind that `member_sizes` accepts.
    """
    with atomic_path(target) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            # of the length of the seal, because the length stands before it
            archive.comment = b"sha256:" + b"0" * 64
            for name, content in members:
                if not _NAME.fullmatch(name):
                    raise ValueError(f"{name!r} cannot be the name of a member")
                info = zipfile.ZipInfo(name, _TIME)
                info.create_system, info.external_attr = _UNIX, (stat.S_IFREG | 0o644) << 16
                archive.writestr(info, content)
        digest = _digest_before_seal(temporary)
        with temporary.open("r+b") as file:
            file.seek(-64, 2)
            file.write(digest.encode())
    return digest


def check_seal(path: Path) -> str:
    """The checksum that ends the file at `path`, after comparing it with all that stands before it.

    Raises:
        UserError: the file is missing, is no sealed file, is larger than `MOST_BYTES`, or any byte of it is another.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; check the spelling.")
    if not path.is_file():
        raise UserError(f"{path} is a folder, but a model file was expected.")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UserError(f"{path} has {size / 2**30:.3g} GiB, more than any model; do not use it.")
    with path.open("rb") as file:
        begins = file.read(4)
        file.seek(max(size - _SEAL_LENGTH, 0))
        seal = _SEAL.fullmatch(file.read())
    if begins != b"PK\x03\x04" and seal is None:
        raise UserError(f"{path} is not a file that medt_export wrote.")
    if seal is None or seal[1].decode() != _digest_before_seal(path):
        raise UserError(f"{path} is damaged: its checksum says that bytes are missing or changed; get it again.")
    return seal[1].decode()


def member_sizes(path: Path) -> dict[str, int]:
    """Names of the members of a sealed file, with their bytes.

    Nothing in it is compressed, so no member can unpack to more than the file holds.

    Raises:
        UserError: a name leads elsewhere or is there twice, a member is compressed, encrypted or no plain file, or all
            of them claim more bytes than the file has.
    """
    with _opened(path) as archive:
        infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise UserError(f"{path} holds {len(infos)} members, more than {MOST_MEMBERS}; do not use it.")
    sizes: dict[str, int] = {}
    for info in infos:
        if not _NAME.fullmatch(info.filename):
            raise UserError(f"{path} holds a member named {info.filename!r}, which may lead elsewhere; do not use it.")
        plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG) and not info.flag_bits & 1
        if not plain or info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UserError(f"{path} holds {info.filename!r} otherwise than stored as it is; do not use it.")
        if info.filename in sizes:
            raise UserError(f"{path} holds {info.filename!r} twice; do not use it.")
        sizes[info.filename] = info.file_size
    if sum(sizes.values()) > path.stat().st_size:
        raise UserError(f"{path} claims to hold more bytes than it has; do not use it.")
    return sizes


def read_member(path: Path, name: str, sha256: str | None = None) -> bytes:
    """The content of a member that `member_sizes` names.

    Args:
        path: a sealed file.
        name: of the member.
        sha256: its checksum, where it is known from elsewhere.

    Raises:
        UserError: it is missing or damaged, or has another checksum.
    """
    with _opened(path) as archive:
        try:
            content = archive.read(name)
        except KeyError:
            raise UserError(f"{path} lacks {name!r}; get it again.") from None
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{path} is damaged: {name!r} is another than its manifest says; get it again.")
    return content


def _digest_before_seal(path: Path) -> str:
    digest, left = hashlib.sha256(), path.stat().st_size - _SEAL_LENGTH
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; what its reader raises, also while a member is read, becomes a UserError."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the spelling.") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, struct.error, OverflowError, OSError) as error:
        raise UserError(f"{path} is damaged or of an unknown kind ({error}); get it again.") from None
    except UserError:
        raise
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path} is damaged or of an unknown kind ({error}); get it again.") from None
