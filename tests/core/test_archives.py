"""Archives from others: unpacked as they are, or refused in one sentence with nothing written outside."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medt_pipeline.core import archives
from medt_pipeline.core.archives import is_archive, unpack
from medt_pipeline.core.errors import UserError


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


WRITERS = {"a.zip": write_zip, "a.tar.gz": write_tar}


def unpacked(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("name", WRITERS)
def test_files_come_out_as_they_went_in(tmp_path: Path, folder: Path, name: str) -> None:
    members = {"set/images/a (1).png": b"image", "set/ü.csv": b"", "top.txt": bytes(range(256)) * 9000}
    rubbish = {"__MACOSX/set/._a (1).png": b"x", "set/.DS_Store": b"x", "set/images/Thumbs.db": b"x"}
    archive = WRITERS[name](tmp_path / name, members | rubbish)
    assert is_archive(archive)
    unpack(archive, folder)
    assert unpacked(folder) == members


def test_only_files_with_the_right_ending_are_archives(tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    assert not is_archive(tmp_path / "folder.zip")
    assert not is_archive(tmp_path / "a.png")
    assert not is_archive(tmp_path / "absent.zip")


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    "name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "C:\\evil.txt", "..\\evil.txt", "\\\\host\\evil.txt"]
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, folder: Path, writer: str, name: str) -> None:
    archive = WRITERS[writer](tmp_path / writer, {"good.txt": b"1", name: b"2"})
    with pytest.raises(UserError, match="written outside its folder"):
        unpack(archive, folder)
    assert not list(folder.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([writer, "out"])


@settings(max_examples=60)
@given(parts=st.lists(st.sampled_from(["..", ".", "a", "b", ""]), min_size=1, max_size=5), slash=st.sampled_from("/\\"))
def test_whatever_the_name_nothing_lands_outside(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], slash: str
) -> None:
    root = tmp_path_factory.mktemp("zip")
    (root / "out").mkdir()
    archive = write_zip(root / "a.zip", {slash.join([*parts, "x.txt"]): b"1"})
    try:
        unpack(archive, root / "out")
    except UserError:
        assert not unpacked(root / "out")
    assert {path.name for path in root.iterdir()} == {"a.zip", "out"}


def linked_zip(path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")


def odd_tar(kind: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        info = tarfile.TarInfo("odd")
        info.type, info.linkname = kind, "/etc/passwd"
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(info)

    return write


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.zip", linked_zip),
        ("a.tar.gz", odd_tar(tarfile.SYMTYPE)),
        ("a.tar.gz", odd_tar(tarfile.LNKTYPE)),
        ("a.tar.gz", odd_tar(tarfile.FIFOTYPE)),
        ("a.tar.gz", odd_tar(tarfile.CHRTYPE)),
    ],
    ids=["zip link", "soft link", "hard link", "pipe", "device"],
)
def test_links_and_devices_are_refused(tmp_path: Path, folder: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    with pytest.raises(UserError, match="a link or device"):
        unpack(tmp_path / name, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", WRITERS)
def test_too_much_is_refused_before_it_is_written(tmp_path: Path, folder: Path, name: str) -> None:
    archive = WRITERS[name](tmp_path / name, {"a": bytes(600), "b": bytes(600)})
    with pytest.raises(UserError, match=r"unpacks to .* more than 9\.31e-07 GiB"):
        unpack(archive, folder, most_bytes=1000)
    assert not list(folder.iterdir())
    unpack(archive, folder, most_bytes=1200)


def test_a_size_that_is_a_lie_is_found_while_it_is_written(tmp_path: Path, folder: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a": bytes(50_000)})
    content = archive.read_bytes()
    # both headers say 100 bytes
    archive.write_bytes(content.replace((50_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(UserError):
        unpack(archive, folder, most_bytes=1000)
    assert sum(len(one) for one in unpacked(folder).values()) <= 1000


def test_a_full_disk_is_told_before(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a": bytes(600)})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 500}))
    with pytest.raises(UserError, match="only .* are free"):
        unpack(archive, folder)


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_archives(tmp_path: Path, folder: Path, name: str) -> None:
    archive = WRITERS[name](tmp_path / name, {"a": bytes(range(256)) * 99})
    whole = archive.read_bytes()
    for content in (b"", b"nothing of the kind", whole[: len(whole) // 2], whole[:60] + bytes(8) + whole[68:]):
        archive.write_bytes(content)
        with pytest.raises(UserError, match="damaged or of an unknown kind"):
            unpack(archive, folder)


def test_the_same_name_twice_and_encryption(tmp_path: Path, folder: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped, pytest.warns(UserWarning, match="Duplicate name"):
        zipped.writestr("a", b"1")
        zipped.writestr("a", b"2")
    with pytest.raises(UserError, match="'a' twice"):
        unpack(archive, folder)
    write_zip(archive, {"a": b"1"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(bytes(content))
    with pytest.raises(UserError, match="is encrypted"):
        unpack(archive, folder)
