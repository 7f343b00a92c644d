"""medt_predict decides by its input whether it is a slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.commands import predict
from medt_pipeline.core.images import write_png
from tests.conftest import Drawn
from tests.slides.drawn_slides import DrawnSlide


def test_slides_in_a_folder_are_predicted(trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "slides", tmp_path / "out"
    source.mkdir()
    DrawnSlide((100, 120), 50).write(source / "a.tif", levels=2)
    write_png(source / "label.png", np.zeros((20, 20), np.uint8))
    arguments = ["-i", str(source), "-o", str(out), "-f", "0", "--no-mirroring", "--workspace", str(trained.root)]
    assert predict.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "a.tif is read at level 0 (pixels of 0.5 µm), since the model does not know" in printed
    assert "1 slides in" in printed
    assert {path.name for path in out.iterdir()} >= {"a.ome.tif", "a.geojson", "medt_slide_areas.csv"}
    assert predict.main([*arguments, "--training-microns-per-pixel", "1.0", "--whole-slide"]) == 0
    assert "a.tif is read at 1 µm a pixel" in capsys.readouterr().out


def test_what_is_for_pictures_is_refused(trained: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DrawnSlide((100, 120), 50).write(tmp_path / "a.tif", levels=2)
    arguments = ["-i", str(tmp_path), "-o", str(tmp_path / "out"), "--uncertainty", "--workspace", str(trained.root)]
    assert predict.main(arguments) == 2
    assert "are for pictures" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "-1", "nan", "much"])
def test_impossible_sizes_are_typing_errors(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        predict.main(["-i", "a.svs", "-o", "out", "--microns-per-pixel", size])
    assert end.value.code == 2
    assert "--microns-per-pixel" in capsys.readouterr().err
