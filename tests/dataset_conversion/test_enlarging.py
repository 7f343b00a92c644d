"""A data set that grows: complete or unchanged, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medt_pipeline.commands.convert import main
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import enlarging
from medt_pipeline.dataset_conversion.corrections import CorrectionOptions, add_corrections
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.target import Target, mend

from .drawn import draw_folder, files_of, picture, save, square


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of three cases, and a corrected mask of a new image and one of a case that is there."""
    root = tmp_path_factory.mktemp("base")
    options = FolderOptions(labels="gland=255")
    convert(*draw_folder(root), Target(Workspace.locate(root / "ws"), 110, "Mine"), options)
    save(root / "new" / "p.png", picture(9))
    save(root / "new" / "a.png", picture(0))
    save(root / "corrected" / "p.png", square(1))
    save(root / "corrected" / "a.png", square(0))
    return root


@pytest.fixture
def root(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "root"))


def raw_of(root: Path) -> Path:
    return root / "ws" / "raw" / "Dataset110_Mine"


def add(root: Path) -> None:
    target = Target(Workspace.locate(root / "ws"), 110, "Mine", overwrite=True)
    add_corrections(root / "corrected", target, CorrectionOptions(images=root / "new", replace=True))


STEPS = ("_link", "write_checked", "write_cases", "write_json", "write_png", "draw_contact_sheet")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()], ids=["full disk", "Ctrl-C"])
def test_an_error_at_any_step_leaves_the_data_set_as_it_was(
    root: Path, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(root)

    def fails(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(enlarging, step, fails)
    with pytest.raises(type(error)):
        add(root)
    assert files_of(root) == before


CALLS = ("link", "replace", "rename", "unlink", "rmdir", "fsync")
KILLED = """
import os, signal, sys
from pathlib import Path
name, number = sys.argv[2], int(sys.argv[3])
real, calls = getattr(os, name), [0]
def counted(*arguments, **options):
    calls[0] += 1
    if calls[0] == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(os, name, counted)
from tests.dataset_conversion.test_enlarging import command
sys.exit(command(Path(sys.argv[1])))
"""


def command(root: Path) -> int:
    """As `add`, by the command."""
    arguments = ["--add-corrections", str(root / "corrected"), "--images", str(root / "new"), "-d", "110", "--replace"]
    return main([*arguments, "--workspace", str(root / "ws")])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
@pytest.mark.parametrize("call", CALLS)
def test_killed_before_any_change_of_the_disk(base: Path, tmp_path: Path, call: str) -> None:
    old = files_of(raw_of(base))
    root = Path(shutil.copytree(base, tmp_path / "root"))
    assert command(root) == 0
    new = files_of(raw_of(root))
    killed = 0
    while True:
        shutil.rmtree(root)
        shutil.copytree(base, root)
        line = [sys.executable, "-c", KILLED, str(root), call, str(killed + 1)]
        status = subprocess.run(line, check=False, capture_output=True).returncode
        if status != -signal.SIGKILL:
            break
        killed += 1
        # in between two renames it lies beside its place, where the next run finds it
        left = files_of(raw_of(root)) if raw_of(root).exists() else old
        assert left in (old, new)
        if left == old:
            assert command(root) == 0
        mend(Workspace.locate(root / "ws"), 110)
        assert files_of(raw_of(root)) == new
        assert [path.name for path in raw_of(root).parent.iterdir()] == ["Dataset110_Mine"]
    assert status == 0
    assert killed > 0


def test_files_are_linked_where_that_can_be_and_copied_where_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = raw_of(root) / "imagesTr" / "b_0000.png"
    before = image.stat().st_ino
    add(root)
    assert image.stat().st_ino == before
    assert image.stat().st_nlink == 1

    def no_links(*arguments: object) -> None:
        raise OSError("Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    content = files_of(raw_of(root))
    add(root)
    assert image.stat().st_ino != before
    changed = {name for name, one in files_of(raw_of(root)).items() if content.get(name) != one}
    assert changed <= {"medt_conversion.json"}


def test_what_the_user_put_there_stays(root: Path) -> None:
    (raw_of(root) / "notes").mkdir()
    (raw_of(root) / "notes" / "mine.txt").write_text("look here")
    (raw_of(root) / "splits_final.json").write_text("[]")
    add(root)
    assert (raw_of(root) / "notes" / "mine.txt").read_text() == "look here"
    assert (raw_of(root) / "splits_final.json").read_text() == "[]"


@pytest.mark.parametrize(
    "change",
    [
        {"file_ending": ".tif"},
        {"channel_names": {"0": "a", "1": "b"}},
        {"dataset": {}},
    ],
    ids=["tif", "two channels", "list of files"],
)
def test_data_sets_of_another_form_are_refused(root: Path, change: dict) -> None:
    file = raw_of(root) / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    if "file_ending" in change:
        for picture_file in raw_of(root).glob("*Tr/*.png"):
            picture_file.rename(picture_file.with_suffix(".tif"))
    before = files_of(root)
    with pytest.raises(UserError, match="not in the form that medt_convert writes"):
        add(root)
    assert files_of(root) == before


def test_a_data_set_behind_a_link_is_refused(root: Path) -> None:
    raw_of(root).rename(root / "elsewhere")
    raw_of(root).symlink_to(root / "elsewhere")
    with pytest.raises(UserError, match="is a link; nothing is added behind it"):
        add(root)
