"""Slides from file to results: equal to pictures, bounded, resumable, and with sentences about what was decided."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_mask, write_png
from medt_pipeline.core.slides import Window
from medt_pipeline.inference.models import ensemble_of, find_model
from medt_pipeline.inference.predict import PredictionOptions, predict_images
from medt_pipeline.postprocessing.recipe import PostProcessing
from medt_pipeline.postprocessing.steps import Step
from medt_pipeline.slides import predict as module
from medt_pipeline.slides.predict import SlideModel, SlideOptions, predict_slide, predict_slides, side_of
from tests.conftest import DATASET_ID, Drawn
from tests.slides.drawn_slides import DrawnSlide
from tests.slides.stand_in import stand_in
from tests.slides.test_probabilities import convolutions

SLIDE = DrawnSlide((300, 420), 60, seed=2)
QUIET = SlideOptions(quiet=True)


def truth(slide: DrawnSlide = SLIDE) -> np.ndarray:
    return slide.labels(Window(0, 0, *slide.size)).astype(np.uint8)


def labels_of(folder: Path, name: str = "a") -> np.ndarray:
    return tifffile.imread(folder / f"{name}.ome.tif")


def predicted(tmp_path: Path, model: SlideModel, name: str = "out", **options: object) -> np.ndarray:
    """The label image of the drawn slide."""
    file, target = tmp_path / "a.tif", tmp_path / name
    if not file.exists():
        SLIDE.write(file)
    target.mkdir()
    predict_slide(file, target, model, replace(QUIET, **options))
    return labels_of(target)


def test_drawn_objects_are_found_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    labels = predicted(tmp_path, stand_in(), block_side=128, tell=told.append)
    assert np.array_equal(labels, truth())
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "a.geojson",
        "a.ome.tif",
        "a_slide.json",
        "a_thumbnail.jpg",
    ]
    features = json.loads((out / "a.geojson").read_text())["features"]
    record = json.loads((out / "a_slide.json").read_text())
    (area,) = record["areas"]
    assert len(features) == area["objects"] == len(SLIDE.rings())
    assert area["pixels"] == truth().sum()
    assert area["area_mm2"] == pytest.approx(truth().sum() * 0.25e-6)
    assert told[0].startswith("a.tif is read at 0.5 µm a pixel, as the model was trained")
    assert "is tissue" in told[1]


@pytest.mark.parametrize("spacing", [1.0, 1.6])
def test_labels_do_not_depend_on_the_blocks(tmp_path: Path, spacing: float) -> None:
    model = stand_in((48, 32), spacing, convolutions(7, 3), names={1: "a", 2: "b"}, recipe=PostProcessing(1.5))
    one = predicted(tmp_path, model, "one", block_side=1000)
    many = predicted(tmp_path, model, "many", block_side=100)
    assert len(np.unique(one)) > 1
    # splines of other windows differ in the seventh digit, so that a pixel on the edge may fall to either side
    assert (one != many).sum() <= (0 if spacing == 1 else 3)


def test_a_slide_equals_the_picture_of_its_pixels(trained: Drawn, tmp_path: Path) -> None:
    """A trained network, through `medt_predict`'s two ways."""
    SLIDE.write(tmp_path / "a.tif")
    write_png(tmp_path / "a.png", SLIDE.whole())
    model = find_model(trained.workspace, DATASET_ID, "2d", (0,))
    cpu = torch.device("cpu")
    predict_images(tmp_path / "a.png", tmp_path / "picture", model, cpu, PredictionOptions(quiet=True))
    options = replace(QUIET, whole_slide=True, block_side=128)
    summary = predict_slides([tmp_path / "a.tif"], tmp_path / "slide", ensemble_of(model), cpu, options)
    assert not summary.failed
    expected = read_mask(tmp_path / "picture" / "a.png")
    # nnU-Net adds up in half precision
    assert (labels_of(tmp_path / "slide") != expected).mean() < 2e-3
    table = pd.read_csv(tmp_path / "slide" / "medt_slide_areas.csv")
    assert table["class"].tolist() == ["gland"]
    assert table["pixels"].tolist() == [(labels_of(tmp_path / "slide") == 1).sum()]


def test_only_tissue_is_predicted_unless_all_is_asked_for(tmp_path: Path) -> None:
    everywhere = stand_in(network=AlwaysObject())
    labels = predicted(tmp_path, everywhere)
    assert labels[0, 0] == 0
    assert labels[150, 210] == 1
    assert predicted(tmp_path, everywhere, "whole", whole_slide=True).all()


class AlwaysObject(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(image[:, :1])
        return torch.cat([-ones, ones], 1)


def test_the_slide_is_read_at_the_scale_of_the_training_images(tmp_path: Path) -> None:
    fine = DrawnSlide((600, 840), 120, seed=2)
    fine.write(tmp_path / "a.tif", microns=0.25)
    (tmp_path / "out").mkdir()
    predict_slide(tmp_path / "a.tif", tmp_path / "out", stand_in(microns=0.5), QUIET)
    labels = labels_of(tmp_path / "out")
    assert labels.shape == (300, 420)
    covered = truth(fine).reshape(300, 2, 420, 2).mean((1, 3))
    assert labels[covered == 1].mean() > 0.99
    assert labels[covered == 0].mean() < 0.001
    with tifffile.TiffFile(tmp_path / "out" / "a.ome.tif") as file:
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
    corners = [
        np.array(ring)
        for feature in json.loads((tmp_path / "out" / "a.geojson").read_text())["features"]
        for ring in feature["geometry"]["coordinates"]
    ]
    assert np.concatenate(corners).max() > 420


def test_an_interrupted_slide_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = predicted(tmp_path, stand_in(), "expected", block_side=128)
    calls: list[Window] = []
    work = module.block_probabilities

    def stopping(networks, picture, shown, window, *others):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(window)
        return work(networks, picture, shown, window, *others)

    monkeypatch.setattr(module, "block_probabilities", stopping)
    with pytest.raises(KeyboardInterrupt):
        predicted(tmp_path, stand_in(), block_side=128)
    out = tmp_path / "out"
    assert [path.name for path in out.iterdir()] == [".a.work"]
    done = list(calls)
    calls.append(Window(0, 0, 0, 0))  # the counter is past the stop
    told: list[str] = []
    predict_slide(tmp_path / "a.tif", out, stand_in(), replace(QUIET, block_side=128, tell=told.append))
    assert any("goes on: 3 of" in sentence for sentence in told)
    assert not set(calls[4:]) & set(done)
    assert np.array_equal(labels_of(out), expected)
    assert not (out / ".a.work").exists()


def test_other_settings_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_find_objects", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        predicted(tmp_path, stand_in())
    monkeypatch.undo()
    told: list[str] = []
    recipe = PostProcessing(steps={1: (Step("remove_small_objects", 700),)})
    options = replace(QUIET, tell=told.append)
    predict_slide(tmp_path / "a.tif", tmp_path / "out", stand_in(recipe=recipe), options)
    assert not any("goes on" in sentence for sentence in told)
    assert 0 < labels_of(tmp_path / "out").sum() < truth().sum()


def test_a_slide_that_is_done_is_not_predicted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted(tmp_path, stand_in())
    monkeypatch.setattr(module, "_predict_blocks", lambda *arguments: pytest.fail("predicted again"))
    told: list[str] = []
    areas = predict_slide(tmp_path / "a.tif", tmp_path / "out", stand_in(), replace(QUIET, tell=told.append))
    assert areas[0].pixels == truth().sum()
    assert "is done already" in told[-1]


def test_a_broken_slide_does_not_stop_the_others(trained: Drawn, tmp_path: Path) -> None:
    DrawnSlide((100, 120), 50).write(tmp_path / "good.tif", levels=2)
    (tmp_path / "bad.svs").write_bytes(b"broken")
    ensemble = ensemble_of(find_model(trained.workspace, DATASET_ID, "2d", (0,)))
    slides = [tmp_path / "bad.svs", tmp_path / "good.tif"]
    summary = predict_slides(slides, tmp_path / "out", ensemble, torch.device("cpu"), replace(QUIET, mirror=False))
    assert list(summary.areas) == ["good"]
    assert "bad.svs is no slide that OpenSlide knows" in summary.failed["bad.svs"]
    with pytest.raises(UserError, match="Several slides are called good"):
        twice = [tmp_path / "good.tif", tmp_path / "good.svs"]
        predict_slides(twice, tmp_path / "out", ensemble, torch.device("cpu"), QUIET)


def test_the_model_knows_the_pixel_size_of_its_plan(trained: Drawn, tmp_path: Path) -> None:
    drawn = trained.copy(tmp_path / "workspace", "raw", "preprocessed")
    ensemble = ensemble_of(find_model(drawn.workspace, DATASET_ID, "2d", (0,)))
    model = module.open_slide_model(ensemble, torch.device("cpu"), mirror=True)
    assert (model.microns_per_pixel, dict(model.names), model.classes) == (None, {1: "gland"}, 2)
    file = ensemble.models[0].folder / "plans.json"
    plans = json.loads(file.read_text())
    plans["medt"]["pixel_size_um"] = [0.5, 0.5]
    file.write_text(json.dumps(plans))
    assert module.open_slide_model(ensemble, torch.device("cpu"), mirror=True).microns_per_pixel == 0.5


def test_a_gray_model_refuses_colours(tmp_path: Path) -> None:
    model = replace(stand_in(), channels=1)
    with pytest.raises(UserError, match=r"a\.tif is a colour slide"):
        predicted(tmp_path, model)


@pytest.mark.parametrize(("classes", "side"), [(2, 3584), (5, 2560), (200, 1024)])
def test_blocks_fit_into_memory(classes: int, side: int) -> None:
    assert side_of(classes) == side
