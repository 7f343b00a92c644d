from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.sealed_zip import check_seal, member_sizes, read_member, write_sealed

MEMBERS = [("manifest.json", b"{}"), ("weights/2d/fold_0.safetensors", bytes(range(256))), ("empty", b"")]


def seal(path: Path) -> None:
    """Seal whatever zip file lies at `path`, as an attacker can."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"sha256:" + b"0" * 64
    content = path.read_bytes()[:-71]
    path.write_bytes(content + b"sha256:" + hashlib.sha256(content).hexdigest().encode())


def test_members_come_back_and_any_zip_program_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "a.medt"
    digest = write_sealed(file, iter(MEMBERS))
    assert digest == hashlib.sha256(file.read_bytes()[:-71]).hexdigest() == check_seal(file)
    assert member_sizes(file) == {name: len(content) for name, content in MEMBERS}
    for name, content in MEMBERS:
        assert read_member(file, name, hashlib.sha256(content).hexdigest()) == content
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert [info.filename for info in archive.infolist()] == [name for name, _ in MEMBERS]
    assert list(tmp_path.iterdir()) == [file]


def test_the_same_members_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_sealed(tmp_path / name, MEMBERS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.medt"
    write_sealed(file, MEMBERS)
    content = file.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        file.write_bytes(changed)
        with pytest.raises(UserError):
            check_seal(file)


@given(st.data())
def test_every_cut_and_every_tail_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    file = tmp_path_factory.mktemp("cut") / "a.medt"
    write_sealed(file, MEMBERS)
    content = file.read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    tail = data.draw(st.binary(min_size=1, max_size=100))
    for other in (content[:cut], content + tail):
        file.write_bytes(other)
        with pytest.raises(UserError, match="damaged|not a file that medt_export wrote"):
            check_seal(file)


def with_name(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "C:/x", "a\\..\\x", ".hidden", "a//b", "a/"])
def test_names_that_lead_elsewhere_are_refused_though_sealed(tmp_path: Path, name: str) -> None:
    file = tmp_path / "a.medt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(with_name(name), b"" if name.endswith("/") else b"x")
    seal(file)
    check_seal(file)
    with pytest.raises(UserError, match="lead elsewhere"):
        member_sizes(file)
    with pytest.raises(ValueError, match="cannot be the name"):
        write_sealed(tmp_path / "b", [(name, b"")])


def test_a_bomb_a_link_and_a_double_are_refused_though_sealed(tmp_path: Path) -> None:
    bomb, link, double = (tmp_path / name for name in ("bomb", "link", "double"))
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(10**7))
    with zipfile.ZipFile(link, "w") as archive:
        info = with_name("a")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.warns(UserWarning), zipfile.ZipFile(double, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    for file, sentence in ((bomb, "otherwise than stored"), (link, "otherwise than stored"), (double, "twice")):
        seal(file)
        with pytest.raises(UserError, match=sentence):
            member_sizes(file)


def test_a_size_that_is_a_lie_is_refused_though_sealed(tmp_path: Path) -> None:
    file = tmp_path / "a.medt"
    write_sealed(file, [("a", b"x" * 1000)])
    content = file.read_bytes()
    central = content.index(b"PK\x01\x02")
    huge = (2**31).to_bytes(4, "little")
    file.write_bytes(content[: central + 20] + huge + huge + content[central + 28 :])
    seal_only = file.read_bytes()[:-71]
    file.write_bytes(seal_only + b"sha256:" + hashlib.sha256(seal_only).hexdigest().encode())
    check_seal(file)
    with pytest.raises(UserError, match="more bytes than it has"):
        member_sizes(file)


def test_what_is_no_sealed_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        check_seal(tmp_path / "nowhere.medt")
    with pytest.raises(UserError, match="is a folder"):
        check_seal(tmp_path)
    (tmp_path / "a").write_bytes(b"checkpoint")
    with pytest.raises(UserError, match="not a file that medt_export wrote"):
        check_seal(tmp_path / "a")
    write_sealed(tmp_path / "b", MEMBERS)
    with pytest.raises(UserError, match="lacks 'c'"):
        read_member(tmp_path / "b", "c")
    with pytest.raises(UserError, match="another than its manifest says"):
        read_member(tmp_path / "b", "manifest.json", "0" * 64)
