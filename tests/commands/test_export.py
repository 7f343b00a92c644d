"""medt_export, medt_info and medt_predict -m, as the one who makes a model and the one who gets it type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medt_pipeline.commands import export, info, predict
from medt_pipeline.core.images import read_mask, write_png
from tests.conftest import Drawn
from tests.inference.model_files import remade


def test_from_a_workspace_to_masks_elsewhere(
    trained: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((trained.source / "test" / "images").iterdir())
    licence = tmp_path / "terms.txt"
    licence.write_text("Research only.\n")
    arguments = ["901", "-o", str(tmp_path / "drawn.medt"), "--licence", str(licence), "--preview", str(image)]
    assert export.main([*arguments, "--workspace", str(trained.root)]) == 0
    assert "Next: medt_info" in capsys.readouterr().out
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert info.main(["../drawn.medt"]) == 0
    assert "licence: Research only." in capsys.readouterr().out
    assert info.main(["../drawn.medt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["licence"] == "Research only.\n"
    assert predict.main(["-m", "../drawn.medt", "-i", str(image), "-o", "masks", "--no-mirroring"]) == 0
    assert "folds 0, 1" in capsys.readouterr().out
    assert read_mask(elsewhere / "masks" / f"{image.stem}.png").shape == (64, 96)
    assert [path.name for path in elsewhere.iterdir()] == ["masks"]


def test_no_variable_of_nnunet_is_needed_or_named(trained: Drawn, model_file: Path, tmp_path: Path) -> None:
    """In a process of its own, where nothing has set or imported anything."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("nnUNet", "MEDT"))}
    images = str(trained.source / "test" / "images")
    script = "import sys; from medt_pipeline.commands.predict import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["-m", str(model_file), "-i", images, "-o", str(tmp_path / "m"), "--device", "cpu", "--no-mirroring"]
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=kept, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "nnUNet" not in result.stdout + result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_images_unlike_those_of_the_training_are_named(
    trained: Drawn, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "images"
    source.mkdir()
    like = next((trained.source / "test" / "images").iterdir())
    (source / "like.png").write_bytes(like.read_bytes())
    rng = np.random.default_rng(0)
    write_png(source / "gray.png", rng.integers(0, 40, (200, 300), np.uint8))
    for number, model in enumerate((["-m", str(model_file)], ["--workspace", str(trained.root)])):
        masks = tmp_path / str(number)
        assert predict.main([*model, "-i", str(source), "-o", str(masks), "--warn-shift", "--no-mirroring"]) == 0
        warned = capsys.readouterr().err
        assert "1 of 2 images are unlike those of the training" in warned
        assert "gray.png: it is gray, all training images are coloured; height in pixels is 200" in warned
        record = json.loads((masks / "medt_prediction.json").read_text())
        assert record["unlike_training"]["like.png"] == []
        assert len(record["unlike_training"]["gray.png"]) > 2
        assert "1st to 99th percentile" in record["shift_rule"]
        table = pd.read_csv(masks / "medt_shift.csv", keep_default_na=False)
        assert table["image"].tolist() == ["gray.png", "like.png"]
        assert table["facts_unlike"].tolist() == [len(record["unlike_training"]["gray.png"]), 0]


def test_nothing_is_compared_without_being_asked(trained: Drawn, model_file: Path, tmp_path: Path) -> None:
    images = str(trained.source / "test" / "images")
    assert predict.main(["-m", str(model_file), "-i", images, "-o", str(tmp_path), "--no-mirroring"]) == 0
    assert not (tmp_path / "medt_shift.csv").exists()
    assert "unlike_training" not in json.loads((tmp_path / "medt_prediction.json").read_text())


def test_a_model_file_unpacks_for_nnunet(model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([str(model_file), "--nnunet", str(tmp_path / "stock")]) == 0
    assert f"Model folder of nnU-Net: {tmp_path / 'stock'}" in capsys.readouterr().out
    assert (tmp_path / "stock" / "fold_0" / "checkpoint_final.pth").exists()


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        (export, ["901"], "nothing to write"),
        (export, ["901", "-o", "a.zip"], "must end in .medt"),
        (export, ["555", "-o", "a.medt"], "There is no data set 555"),
        (export, ["901", "-o", "a.medt", "-c", "2d_unet"], "No fold of configuration '2d_unet'"),
        (export, ["901", "-o", "a.medt", "-f", "4"], "Fold 4 of Dataset901_Drawn is not trained"),
        (export, ["901", "-o", "a.medt", "--preview", "broken.medt"], "broken.medt cannot be read as an image"),
        (export, ["901", "-o", "a.medt", "--licence", "broken.medt"], "no text in UTF-8"),
        (export, ["901", "--nnunet", "images"], "not an empty folder"),
        (export, ["901", "--nnunet", "new", "--licence", "free"], "go into a model file"),
        (export, ["{model}", "-o", "a.medt"], "is a model file already"),
        (export, ["{model}", "--nnunet", "new", "-f", "0"], "leave them out"),
        (export, ["nowhere.medt", "--nnunet", "new"], "nowhere.medt does not exist"),
        (info, ["nowhere.medt"], "nowhere.medt does not exist"),
        (info, ["images"], "is a folder"),
        (info, ["broken.medt"], "broken.medt is damaged"),
        (info, ["images/a.png"], "not a file that medt_export wrote"),
        (info, ["newer.medt"], "has the format 2"),
        (predict, ["-m", "broken.medt", "-i", "images", "-o", "masks"], "broken.medt is damaged"),
        (predict, ["-m", "evil.medt", "-i", "images", "-o", "masks"], "network 'os.system' is unknown"),
        (predict, ["-m", "{model}", "-d", "901", "-i", "images", "-o", "masks"], "leave out -d"),
        (predict, ["-m", "unknown.medt", "--warn-shift", "-i", "images", "-o", "masks"], "--warn-shift needs"),
    ],
)
def test_mistakes_end_in_one_sentence_and_status_2(
    trained: Drawn,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    write_png(tmp_path / "images" / "a.png", np.zeros((64, 96, 3), np.uint8))
    (tmp_path / "broken.medt").write_bytes(model_file.read_bytes()[:-1000])
    remade(model_file, tmp_path / "newer.medt", {"manifest.json": lambda content: {**content, "format": 2}})
    remade(model_file, tmp_path / "evil.medt", {"plans.json": _evil})
    unknown = {"training_data.json": lambda content: {"images": None, "description": {}}}
    remade(model_file, tmp_path / "unknown.medt", unknown)
    before = sorted(tmp_path.rglob("*"))
    filled = [argument.replace("{model}", str(model_file)) for argument in arguments]
    if "901" in filled[:1] or "555" in filled[:1]:
        filled += ["--workspace", str(trained.root)]
    assert command.main(filled) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def _evil(plans: dict) -> dict:
    plans["configurations"]["2d"]["architecture"]["network_class_name"] = "os.system"
    return plans
