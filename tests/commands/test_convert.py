"""medt_convert as it is typed: exit status, sentences, and nothing left behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from medt_pipeline.commands.convert import main
from tests.dataset_conversion.drawn import draw_folder, draw_glas, picture, save, square
from tests.dataset_conversion.test_busi import draw as draw_busi


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDT_WORKSPACE", str(tmp_path / "ws"))


def folder_command(root: Path, *more: str) -> list[str]:
    return [
        "folder",
        "--images",
        str(root / "images"),
        "--masks",
        str(root / "masks"),
        "-d",
        "110",
        "-n",
        "Mine",
        *more,
    ]


def test_glas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_glas(tmp_path / "glas")
    assert main(["glas", str(tmp_path / "glas"), "-d", "101"]) == 0
    output = capsys.readouterr().out
    assert "Dataset101_GlaS: 3 training cases, 2 test cases (1 with mask)" in output
    assert "1 gland: 21.11% of the pixels" in output
    assert f"written to  {tmp_path / 'ws' / 'raw' / 'Dataset101_GlaS'}" in output
    assert output.endswith("Next: medt_plan_and_preprocess -d 101\n")


def test_an_archive_is_unpacked_and_nothing_of_it_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_glas(tmp_path / "glas")
    archive = shutil.make_archive(str(tmp_path / "download"), "zip", tmp_path / "glas")
    assert main(["glas", archive, "-d", "101"]) == 0
    assert "3 training cases" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "ws" / "raw").iterdir()] == ["Dataset101_GlaS"]
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.writestr("../evil.txt", "x")
    assert main(["glas", archive, "-d", "102"]) == 2
    assert "'../evil.txt', which would be written outside its folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "ws" / "raw").iterdir()] == ["Dataset101_GlaS"]


def test_check_tells_the_same_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_glas(tmp_path / "glas")
    assert main(["glas", str(tmp_path / "glas"), "-d", "101", "--check"]) == 0
    output = capsys.readouterr().out
    assert "Dataset101_GlaS: 3 training cases" in output
    assert "Only checked; nothing was written." in output
    assert not (tmp_path / "ws").exists()
    (tmp_path / "glas" / "train_1.bmp").write_bytes(b"x")
    assert main(["glas", str(tmp_path / "glas"), "-d", "101", "--check"]) == 2


def test_options_of_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_busi(tmp_path / "busi")
    command = ["busi", str(tmp_path / "busi"), "-d", "103", "--classes", "benign+malignant", "--drop-normals"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "1 benign:" in output
    assert "2 malignant:" in output
    assert "left out as --drop-normals says" in output
    with pytest.raises(SystemExit) as ended:
        main([*command, "--classes", "all"])
    assert ended.value.code == 2


def test_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_folder(tmp_path)
    assert main(folder_command(tmp_path)) == 0
    assert main(["verify", "-d", "110"]) == 0
    assert "Dataset110_Mine: 3 training cases, no test cases, no problems" in capsys.readouterr().out
    raw = tmp_path / "ws" / "raw" / "Dataset110_Mine"
    save(raw / "labelsTr" / "a.png", square(255))
    (raw / "imagesTr" / "b_0000.png").unlink()
    assert main(["verify", "-d", "110"]) == 2
    output = capsys.readouterr().out
    assert "labelsTr/a.png: holds 0 and 255" in output
    assert "labelsTr/b.png: has no image" in output
    assert "1 of these can be mended: medt_convert verify -d 110 --fix" in output
    assert main(["verify", "-d", "110", "--fix"]) == 2
    output = capsys.readouterr().out
    assert "Mended: 1 of 4. What remains:" in output
    assert "labelsTr/b.png: has no image" in output
    (raw / "labelsTr" / "b.png").unlink()
    (raw / "medt_cases.json").unlink()
    assert main(["verify", "-d", "110", "--fix"]) == 0
    assert json.loads((raw / "dataset.json").read_text())["numTraining"] == 2
    assert main(["verify", "-d", "111"]) == 2
    assert "There is no data set 111" in capsys.readouterr().err


def test_medt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_folder(tmp_path)
    (tmp_path / "images").rename(tmp_path / "img")
    (tmp_path / "masks").rename(tmp_path / "labelcol")
    assert main(["medt", str(tmp_path), "-d", "120", "-n", "Own"]) == 0
    assert "values above 127 count as 1" in capsys.readouterr().out


@pytest.mark.parametrize("before", [True, False])
def test_workspace_option_on_both_sides_of_the_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: bool
) -> None:
    draw_folder(tmp_path)
    option = ["--workspace", str(tmp_path / "elsewhere")]
    command = folder_command(tmp_path)
    assert main([*option, *command] if before else [*command, *option]) == 0
    assert (tmp_path / "elsewhere" / "raw" / "Dataset110_Mine" / "dataset.json").exists()
    assert f"-d 110 --workspace {tmp_path / 'elsewhere'}" in capsys.readouterr().out


def test_list_and_no_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(word in listed for word in ("glas:", "busi:", "folder:", "medt:", "no commercial use", "780 images"))
    assert main([]) == 2
    assert "name a source: glas, " in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["cityscapes", "x", "-d", "1"])
    assert ended.value.code == 2
    assert "'cityscapes'" in capsys.readouterr().err


def test_help_loads_no_array_library() -> None:
    code = (
        "import sys\nfrom medt_pipeline.commands.convert import main\n"
        "try: main(['folder', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'PIL', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example:" in done.stdout
    assert done.stdout.endswith("[]\n")


def alpha(root: Path) -> None:
    pixels = np.concatenate([picture(0), np.full((12, 15, 1), 99, np.uint8)], axis=2)
    save(root / "images" / "a.png", pixels)


def many_pages(root: Path) -> None:
    (root / "images" / "a.png").unlink()
    tifffile.imwrite(root / "images" / "a.tif", np.zeros((3, 12, 15), np.uint8), photometric="minisblack")


def lossy_mask(root: Path) -> None:
    (root / "masks" / "a.png").unlink()
    save(root / "masks" / "a.jpg", square())


def empty(folder: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for path in (root / folder).iterdir():
            path.unlink()

    return change


def file_for_folder(root: Path) -> None:
    empty("masks")(root)
    (root / "masks").rmdir()
    (root / "masks").write_text("")


BAD_INPUT: dict[str, tuple[Callable[[Path], object], list[str], list[str]]] = {
    "image without mask": (lambda root: (root / "masks" / "a.png").unlink(), [], ["1 image without a mask (a.png)"]),
    "mask without image": (lambda root: (root / "images" / "a.png").unlink(), [], ["1 mask without an image (a.png)"]),
    "both unmatched": (
        lambda root: (root / "masks" / "a.png").rename(root / "masks" / "A.png"),
        [],
        ["1 image without a mask (a.png) and 1 mask without an image (A.png)", "upper and lower case"],
    ),
    "unreadable image": (lambda root: (root / "images" / "a.png").write_bytes(b"x"), [], ["a.png cannot be read"]),
    "unreadable mask": (lambda root: (root / "masks" / "a.png").write_bytes(b"x"), [], ["masks/a.png cannot be read"]),
    "sizes differ": (
        lambda root: save(root / "masks" / "a.png", square(size=(12, 16))),
        [],
        ["images/a.png has 15×12 pixels, but its mask", "masks/a.png has 16×12"],
    ),
    "alpha": (alpha, [], ["alpha channel that hides pixels"]),
    "pages": (many_pages, [], ["a.tif holds 3 pages"]),
    "lossy mask": (lossy_mask, [], ["a.jpg cannot serve as a mask"]),
    "undeclared labels": (
        lambda root: save(root / "masks" / "b.png", square(77)),
        ["--labels", "gland=255"],
        ["b.png holds values that --labels does not name: 77 (30 pixels)"],
    ),
    "1 and 255": (lambda root: save(root / "masks" / "b.png", square(1)), [], ["hold both 1 and 255"]),
    "soft edges": (
        lambda root: save(root / "masks" / "b.png", picture(0, channels=1)),
        [],
        ["distinct values (0:", "--threshold 127"],
    ),
    "all empty": (
        lambda root: [save(root / "masks" / f"{name}.png", square(0)) for name in "abc"],
        [],
        ["No mask has a foreground pixel (values: 0: 100.00%)"],
    ),
    "empty image folder": (empty("images"), [], ["There are no images in", "it holds no files"]),
    "empty mask folder": (empty("masks"), [], ["There are no masks in"]),
    "file for folder": (file_for_folder, [], ["is a file, but a folder of masks was expected"]),
    "groups that do not fit": (lambda root: None, ["--groups", "^P(.)"], ["3 of 3 names do not fit", "a, b, c"]),
    "groups file absent": (lambda root: None, ["--groups", "no.csv"], ["no.csv, does not exist"]),
    "malformed labels": (lambda root: None, ["--labels", "gland"], ["must be name=value"]),
    "negative threshold": (lambda root: None, ["--threshold", "-1"], ["--threshold must be 0 or more"]),
    "id": (lambda root: None, ["-d", "1000"], ["between 1 and 999, got 1000"]),
    "name": (lambda root: None, ["-n", "a b"], ["letters, digits, - and _ only"]),
    "two images of one name": (
        lambda root: save(root / "images" / "a.bmp", picture(0)),
        [],
        ["Several images are named a: a.bmp, a.png"],
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    change, options, sentences = BAD_INPUT[case]
    draw_folder(tmp_path)
    change(tmp_path)
    assert main(folder_command(tmp_path, *options)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "Traceback" not in message
    for sentence in sentences:
        assert sentence in message
    assert not (tmp_path / "ws").exists()


def test_all_problems_are_told_and_the_list_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = tuple(f"case{number:02d}" for number in range(15))
    draw_folder(tmp_path, names)
    for name in names[:12]:
        save(tmp_path / "masks" / f"{name}.png", square(size=(3, 3)))
    (tmp_path / "images" / "case14.png").unlink()
    assert main(folder_command(tmp_path, "--groups", "nothing")) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: 14 problems; nothing was written:")
    assert "mask without an image (case14.png)" in message
    assert "14 of 14 names do not fit" in message
    assert message.count("  - ") == 10
    assert "and 4 more" in message


def test_skip_unpaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_folder(tmp_path)
    (tmp_path / "masks" / "a.png").unlink()
    (tmp_path / "images" / "b.png").unlink()
    assert main(folder_command(tmp_path, "--skip-unpaired")) == 0
    output = capsys.readouterr().out
    assert "Dataset110_Mine: 1 training case, no test cases" in output
    assert "left out    image a.png" in output
    assert "left out    mask b.png" in output


def test_an_existing_data_set_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_folder(tmp_path)
    assert main(folder_command(tmp_path)) == 0
    assert main(folder_command(tmp_path)) == 2
    assert "Dataset110_Mine exists; take another id with -d, or replace it with --overwrite" in capsys.readouterr().err
    assert main(folder_command(tmp_path, "-n", "Other", "--overwrite")) == 2
    assert "The id 110 belongs to Dataset110_Mine" in capsys.readouterr().err
    assert main(folder_command(tmp_path, "--overwrite")) == 0


def test_one_folder_for_both(tmp_path: Path) -> None:
    save(tmp_path / "all" / "a.png", picture(0))
    save(tmp_path / "all" / "a_mask.png", square())
    both = str(tmp_path / "all")
    assert main(["folder", "--images", both, "--masks", both, "-d", "1", "-n", "Both"]) == 0
