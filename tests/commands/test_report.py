from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medt_pipeline.commands.predict import main as predict
from medt_pipeline.commands.report import main
from tests.conftest import DATASET_ID, Drawn


def test_a_data_set(trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main([str(DATASET_ID), "--workspace", str(trained.root), "-o", str(page)]) == 0
    assert f"Report of 4 cases: {page} (" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_masks_that_medt_predict_wrote_know_their_images(
    trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    shutil.copytree(trained.source / "test" / "images", images)
    arguments = ["-i", str(images), "-o", str(masks), "-f", "0", "--no-mirroring", "--uncertainty", "--device", "cpu"]
    assert predict([*arguments, "--workspace", str(trained.root)]) == 0
    assert main([str(masks)]) == 0
    assert str(masks / "medt_report.html") in capsys.readouterr().out
    page = (masks / "medt_report.html").read_text(encoding="utf-8")
    assert "layer-uncertainty" in page
    assert "No image of" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["101", "-i", "images"], "-i goes with a folder of masks"),
        (["masks", "-c", "2d"], "-c goes with the id of a data set"),
        (["no_such_folder"], "no_such_folder, does not exist"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_size_is_a_positive_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["101", "--megabytes", "none"])
    assert "expected a number above 0" in capsys.readouterr().err
