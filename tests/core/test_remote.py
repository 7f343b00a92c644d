"""Files behind URLs: fsspec's memory:// and file:// stand for all protocols."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from medt_pipeline.core import remote
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.remote import (
    UPLOADS,
    RemoteFolder,
    contents,
    files_in,
    local_copy,
    place_of,
    remove_folders,
    without_secrets,
    written,
)


@pytest.fixture
def memory() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def test_a_path_is_a_path_and_a_url_a_folder() -> None:
    assert place_of("a/b") == Path("a/b")
    assert place_of(r"C:\a") == Path(r"C:\a")
    assert place_of("memory://a/b/") == RemoteFolder("memory://a/b")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nothing://bucket/a", r"nothing://bucket/a cannot be opened \(Protocol not known: nothing\)"),
        ("zip://a::memory://b.zip", "no chain"),
        ("memory://a/*.png", "no pattern"),
        ("adl://store/a", "adl://store/a cannot be opened"),
    ],
)
def test_urls_that_cannot_be_used_are_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as refusal:
        place_of(url)
    assert "\n" not in str(refusal.value)


def test_without_fsspec_one_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(UserError, match=r"pip install 'medt_pipeline\[remote\]'"):
        place_of("memory://a")


def test_no_message_tells_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_secrets("-i sftp://me:word@host/a https://host/a?token=word") == "-i sftp://host/a https://host/a"
    assert without_secrets("who@where?") == "who@where?"
    monkeypatch.setattr(remote, "reason_of", lambda error: "no host in nothing://me:word@host/a")
    with pytest.raises(UserError) as refusal:
        place_of("nothing://me:word@host/a?key=word")
    assert "word" not in str(refusal.value)
    assert "nothing://host/a" in str(refusal.value)


def test_files_are_listed_fetched_and_told_when_they_are_gone(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.png", "a.png", ".hidden.png", "bad:name.png", "below/c.png"):
        memory.pipe_file(f"/in/{name}", name.encode())
    listed = files_in(RemoteFolder("memory://in"))
    assert [(file.name, file.size) for file in listed] == [("a.png", 5), ("b.png", 5)]
    assert [file.name for file in files_in(RemoteFolder("memory://in/b.png"))] == ["b.png"]
    with local_copy(listed[0]) as copy:
        assert copy.name == "a.png"
        assert copy.read_bytes() == b"a.png"
    assert not copy.parent.exists()
    memory.pipe_file("/in/a.png", b"other")
    assert files_in(RemoteFolder("memory://in"))[0].version != listed[0].version
    memory.rm("/in/a.png")
    with pytest.raises(UserError, match="memory://in/a.png cannot be fetched"), local_copy(listed[0]):
        pass
    monkeypatch.setattr(remote, "LARGEST_FILE", 5)
    with pytest.raises(UserError, match="b.png is larger than"), local_copy(listed[1]):
        pass
    with pytest.raises(UserError, match="memory://gone cannot be listed"):
        files_in(RemoteFolder("memory://gone"))


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_what_is_written_is_complete_or_absent(memory: Any, tmp_path: Path, protocol: str) -> None:
    url = "memory://out" if protocol == "memory" else (tmp_path / "out").as_uri()
    target = place_of(url)
    with written(target) as folder:
        (folder / "below").mkdir()
        (folder / "below" / "a.txt").write_bytes(b"1")
        (folder / "b.txt").write_bytes(b"2")
    with written(target) as folder:
        (folder / "b.txt").write_bytes(b"3")
    assert contents(target, ["below/a.txt", "b.txt", "c.txt"]) == {"below/a.txt": b"1", "b.txt": b"3"}

    filesystem = type(fsspec.filesystem(protocol))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filesystem, "mv", lambda *_, **__: (_ for _ in ()).throw(OSError("cable cut")))
        with pytest.raises(UserError, match="cannot be written to .cable cut.; check it"), written(target) as folder:
            (folder / "b.txt").write_bytes(b"4")
    assert contents(target, ["b.txt"]) == {"b.txt": b"3"}
    assert [file.name for file in files_in(RemoteFolder(f"{url}/{UPLOADS}"))]
    remove_folders(target, [UPLOADS, "never"])
    assert [file.name for file in files_in(target)] == ["b.txt"]
    with pytest.raises(UserError, match="cannot be listed"):
        files_in(RemoteFolder(f"{url}/{UPLOADS}"))


def test_a_path_is_written_where_it_is(tmp_path: Path) -> None:
    with written(tmp_path) as folder:
        assert folder == tmp_path
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"1")
    assert contents(tmp_path, ["a/b", "c"]) == {"a/b": b"1"}
    remove_folders(tmp_path, ["a", "c"])
    assert not list(tmp_path.iterdir())
