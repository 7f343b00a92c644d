"""The loop as it is typed: predict, review, correct, add, plan again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medt_pipeline.commands import convert, plan_and_preprocess, predict, review
from medt_pipeline.core.images import read_mask
from tests.conftest import DATASET_NAME, Drawn


def test_from_prediction_to_new_folds(
    selected: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = selected.copy(tmp_path / "w")
    monkeypatch.setenv("MEDT_WORKSPACE", str(drawn.root))
    images, masks, corrected = drawn.source / "test" / "images", tmp_path / "masks", tmp_path / "corrected"
    assert predict.main(["-i", str(images), "-o", str(masks), "--uncertainty", "--no-mirroring"]) == 0
    capsys.readouterr()

    assert review.main([str(masks), "--top", "2"]) == 0
    printed = capsys.readouterr().out
    assert f"a folder of their own: medt_convert --add-corrections CORRECTED --reviewed {masks} -d 901" in printed
    assert (masks / "medt_review.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    queue = list(csv.DictReader((masks / "medt_review.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["rank"] for row in queue] == ["1", "2"]

    worst, second = queue
    assert Path(worst["image"]).parent == images
    mask = read_mask(Path(worst["mask"]))
    mask[10:30, 20:50] = 1 - mask[10:30, 20:50]
    corrected.mkdir()
    # as ITK-SNAP saves it: a volume of one slice
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask[None]), str(corrected / f"{worst['case']}.nii.gz"))
    (corrected / f"{second['case']}.png").write_bytes(Path(second["mask"]).read_bytes())
    arguments = ["--add-corrections", str(corrected), "--reviewed", str(masks), "-d", "901"]
    assert convert.main([*arguments, "--check"]) == 0
    assert "Only checked; nothing was written." in capsys.readouterr().out
    assert convert.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "2 corrected masks added as training cases, 1 of them as predicted" in printed
    assert printed.endswith("Next: medt_plan_and_preprocess -d 901\n")
    raw = drawn.workspace.raw / DATASET_NAME
    np.testing.assert_array_equal(read_mask(raw / "labelsTr" / f"{worst['case']}.png"), mask)
    facts = json.loads((raw / "medt_cases.json").read_text())["cases"][worst["case"]]["facts"]
    assert facts["review"] == "corrected"
    assert facts["predicted_by"] == f"{DATASET_NAME}, recipe of 2d (folds 1)"

    assert convert.main(arguments) == 2
    assert "already; leave it out" in capsys.readouterr().err
    assert convert.main(["verify", "-d", "901"]) == 0
    assert plan_and_preprocess.main(["-d", "901"]) == 0
    splits = json.loads((drawn.preprocessed / "splits_final.json").read_text())
    held_out = [case for split in splits for case in split["val"]]
    assert sorted(held_out) == sorted({*held_out})
    assert {worst["case"], second["case"]} <= set(held_out)
    assert len(held_out) == 12
    assert (drawn.preprocessed / "nnUNetPlans_2d" / f"{worst['case']}.npz").exists() or list(
        drawn.preprocessed.glob(f"*/{worst['case']}.*")
    )


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        (review, ["{nowhere}"], "does not exist"),
        (review, ["{folder}"], "holds no masks"),
        (convert, ["--add-corrections", "{folder}", "-d", "901"], "holds no corrected mask"),
        (convert, ["--add-corrections={nowhere}", "-d", "901"], "does not exist"),
        (convert, ["-d", "555", "--add-corrections", "{folder}"], "There is no data set 555"),
    ],
)
def test_mistakes_are_one_sentence(
    converted: Drawn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.setenv("MEDT_WORKSPACE", str(converted.root))
    (tmp_path / "folder").mkdir()
    paths = {"{folder}": str(tmp_path / "folder"), "{nowhere}": str(tmp_path / "nowhere")}
    filled = arguments
    for word, path in paths.items():
        filled = [one.replace(word, path) for one in filled]
    assert command.main(filled) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("error:") == 1


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (review, ["masks", "--top", "0"]),
        (review, ["masks", "--empty", "middle"]),
        (convert, ["--add-corrections"]),
        (convert, ["--add-corrections", "folder"]),
        (convert, ["corrections", "folder", "-d", "901", "--overwrite"]),
    ],
    ids=str,
)
def test_typing_errors_are_not_swallowed(command, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(arguments)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err
