"""The commands one after another, as a user types them, and what they answer to mistakes."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from medt_pipeline.commands import _run, demo, evaluate, plan_and_preprocess, predict, train
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import write_png
from tests.conftest import DATASET_NAME, Drawn


def test_plan_train_predict_evaluate(converted: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = converted.copy(tmp_path / "w").root
    where = ["--workspace", str(root)]
    assert plan_and_preprocess.main(["-d", "901", *where]) == 0
    printed = capsys.readouterr().out
    assert "none of 5 groups is split" in printed
    assert "Next: medt_train 901 fold0" in printed
    assert train.main(["901", "fold1", "--epochs", "1", "--architecture", "GatedAxialUNet", *where]) == 0
    assert "Held-out cases of fold 1 (2 images): Dice" in capsys.readouterr().out
    images, masks = converted.source / "test" / "images", tmp_path / "masks"
    arguments = ["-i", str(images), "-o", str(masks), "-c", "2d_gated", "--overlays", *where]
    assert predict.main(arguments) == 0
    assert "folds 1" in capsys.readouterr().out
    assert {path.stem for path in (masks / "overlays").iterdir()} == {path.stem for path in images.iterdir()}
    labels = tmp_path / "labels"
    labels.mkdir()
    for image in images.iterdir():
        write_png(labels / f"{image.stem}.png", np.ones((64, 96), np.uint8))
    assert evaluate.main(["-g", str(labels), "-p", str(masks)]) == 0
    assert json.loads((masks / "medt_scores.json").read_text())["labels"] == {"gland": 1}


def test_planning_leaves_out_bad_images_and_ends_with_1(
    converted: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = converted.copy(tmp_path / "w", "preprocessed").root
    (root / "raw" / DATASET_NAME / "imagesTr" / "p01_0_0000.png").write_bytes(b"broken")
    where = ["-d", "901", "--workspace", str(root)]
    assert plan_and_preprocess.main([*where, "--strict"]) == 2
    assert "Case p01_0 cannot be read" in capsys.readouterr().err
    assert not (root / "preprocessed" / DATASET_NAME).exists()
    assert plan_and_preprocess.main(where) == 1
    captured = capsys.readouterr()
    assert "1 case cannot be used" in captured.err
    assert "Next: medt_train 901 fold0" in captured.out


def test_predict_lists_bad_images_and_ends_with_1(
    trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "images"
    source.mkdir()
    write_png(source / "good.png", np.zeros((64, 96, 3), np.uint8))
    (source / "bad.png").write_bytes(b"")
    arguments = ["-i", str(source), "-o", str(tmp_path / "masks"), "--no-mirroring", "--workspace", str(trained.root)]
    assert predict.main(arguments) == 1
    captured = capsys.readouterr()
    assert "1 masks in" in captured.out
    assert "not predicted: bad.png" in captured.err


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        (plan_and_preprocess, ["-d", "555"], "There is no data set 555"),
        (plan_and_preprocess, ["-d", "901", "-p", "fancy"], "There is no preset 'fancy'"),
        (plan_and_preprocess, ["-d", "901", "--device", "cuda"], "device 'cuda' is not available"),
        (train, ["555", "fold0"], "There is no data set 555"),
        (train, ["901", "fold9"], "has no fold 9"),
        (train, ["901", "foldx"], "must be one of fold0"),
        (train, ["901", "fold0", "--architecture", "ViT"], "choose one of: MedT-S, MedT-M"),
        (train, ["901", "fold0", "-c", "3d_fullres"], "no configuration '3d_fullres'"),
        (predict, ["-i", "nowhere", "-o", "masks"], "nowhere does not exist"),
        (predict, ["-i", "{images}", "-o", "{images}/p.txt"], "a file is in the way"),
        (predict, ["-i", "{images}", "-o", "masks", "-f", "4"], "Fold 4 of Dataset901_Drawn is not trained"),
        (predict, ["-i", "{images}", "-o", "masks", "-d", "555"], "There is no data set 555"),
        (evaluate, ["-g", "nowhere", "-p", "nowhere2"], "nowhere"),
        (demo, ["-o", "{images}"], "not from an earlier demonstration"),
    ],
)
def test_mistakes_end_in_one_sentence_and_status_2(
    trained: Drawn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command,
    arguments: list[str],
    sentence: str,
) -> None:
    if "cuda" in arguments:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("this machine has a CUDA device")
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "images"
    images.mkdir()
    write_png(images / "a.png", np.zeros((64, 96, 3), np.uint8))
    (images / "p.txt").write_text("a file")
    before = sorted(path for path in tmp_path.rglob("*"))
    filled = [argument.replace("{images}", str(images)) for argument in arguments]
    assert command.main([*filled, "--workspace", str(trained.root)]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("error:") == 1
    assert "Traceback" not in captured.err
    assert sorted(path for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (train, ["901", "fold0", "--epoch", "3"]),
        (train, ["901", "fold0", "--epochs", "0"]),
        (train, ["901", "fold0", "--time-budget", "soon"]),
        (train, ["901", "fold0", "--resume", "--restart"]),
        (plan_and_preprocess, ["-d", "901", "--memory", "much"]),
        (predict, ["-i", "images"]),
    ],
)
def test_typing_errors_are_not_swallowed(command, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(arguments)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def run_with(error: BaseException, *extra: str) -> int:
    def command(options) -> int:
        raise error

    return _run.run(_run.make_parser("Does nothing.", "medt_nothing"), command, list(extra))


def test_full_disk_and_missing_rights_are_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with(OSError(errno.ENOSPC, "No space left on device", "/somewhere/mask.png")) == 2
    assert "The disk, or your share of it, is full (/somewhere/mask.png)" in capsys.readouterr().err
    assert run_with(PermissionError(errno.EACCES, "Permission denied", "/root")) == 2
    assert "not permitted (/root)" in capsys.readouterr().err


def caught(function: Callable[[], object]) -> Exception:
    """What torch or Python really raises."""
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (caught(lambda: torch.empty(2**55)), "Memory ran out; end other programs"),
        (caught(lambda: bytearray(2**60)), "Memory ran out"),
        (torch.OutOfMemoryError("CUDA out of memory."), "Memory ran out"),
        (
            RuntimeError("One or more background workers are no longer alive. Exiting."),
            "A process that loads images was ended, most often because memory ran out",
        ),
    ],
    ids=["torch on a CPU", "Python", "torch on a GPU", "a worker"],
)
def test_memory_that_ran_out_is_no_defect(error: Exception, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with(error) == 2
    printed = capsys.readouterr().err
    assert sentence in printed
    assert "--memory 4GB" in printed
    assert printed.count("\n") == 1


def test_debug_shows_the_traceback_and_defects_have_their_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with(UserError("No."), "--debug") == 2
    assert "Traceback" in capsys.readouterr().err
    assert run_with(RuntimeError("Oh")) == 3
    assert "This is a defect" in capsys.readouterr().err
    assert run_with(KeyboardInterrupt()) == 130


@pytest.mark.slow
def test_stock_nnunetv2_predict_agrees(trained: Drawn, tmp_path: Path) -> None:
    """The real `nnUNetv2_predict`, in a process of its own that knows our trainer by nnUNet_extTrainer alone."""
    import os
    import shutil

    from medt_pipeline.core.images import read_mask
    from medt_pipeline.nnunet_shim import trainer

    images = tmp_path / "images"
    images.mkdir()
    for image in (trained.source / "test" / "images").iterdir():
        shutil.copy(image, images / f"{image.stem}_0000.png")
    workspace = trained.workspace
    variables = {
        "nnUNet_raw": str(workspace.raw),
        "nnUNet_preprocessed": str(workspace.preprocessed),
        "nnUNet_results": str(workspace.results),
        "nnUNet_extTrainer": str(Path(trainer.__file__).parent),
    }
    arguments = ["-i", images, "-o", tmp_path / "stock", "-d", "901", "-c", "2d", "-f", "0"]
    arguments += ["-tr", "nnUNetTrainerMedT", "-p", "MedTPlans", "-device", "cpu", "-npp", "1", "-nps", "1"]
    code = "from nnunetv2.inference.predict_from_raw_data import predict_entry_point\n"
    code += "if __name__ == '__main__':\n    predict_entry_point()\n"
    script = tmp_path / "stock_predict.py"
    script.write_text(code)
    subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], env={**os.environ, **variables}, check=True, timeout=300
    )
    ours = tmp_path / "ours"
    source = str(trained.source / "test" / "images")
    assert predict.main(["-i", source, "-o", str(ours), "-f", "0", "--workspace", str(trained.root)]) == 0
    names = sorted(path.name for path in ours.glob("*.png"))
    assert names == sorted(path.name for path in (tmp_path / "stock").glob("*.png"))
    for name in names:
        assert np.array_equal(read_mask(ours / name), read_mask(tmp_path / "stock" / name))


@pytest.mark.slow
def test_demo_walks_the_whole_road(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "demo"
    assert demo.main(["-o", str(target), "--seconds-per-fold", "1"]) == 0
    printed = capsys.readouterr().out
    for command in ("medt_convert", "medt_plan_and_preprocess", "medt_train", "medt_predict", "medt_evaluate"):
        assert f"$ {command}" in printed
    assert "For your own images:" in printed
    for kind in ("histology", "ultrasound"):
        predicted = target / kind / "test" / "predicted"
        assert len(list(predicted.glob("*.png"))) == len(list((predicted / "overlays").iterdir())) > 0
        assert (predicted / "medt_scores.csv").exists()
    assert (target / "workspace" / "results" / "Dataset901_DrawnHistology").is_dir()


def test_paths_with_blanks_and_a_workspace_variable(
    converted: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = converted.copy(tmp_path / "a folder with blanks").root
    monkeypatch.setenv("MEDT_WORKSPACE", str(root))
    assert plan_and_preprocess.main(["-d", "901"]) == 0
    assert (root / "preprocessed" / DATASET_NAME / "MedTPlans.json").exists()
