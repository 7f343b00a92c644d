"""The GeoJSON is what QuPath exports and what our own reader of it draws back, pixel for pixel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import shapely

from medt_pipeline.core.overlays import colour_of
from medt_pipeline.dataset_conversion.annotations.drawing import draw
from medt_pipeline.dataset_conversion.annotations.geojson import read_geojson
from medt_pipeline.postprocessing.recipe import PostProcessing
from medt_pipeline.slides.geojson import write_geojson
from tests.slides.drawn_slides import DrawnSlide
from tests.slides.test_objects import blocks

NAMES = {1: "gland", 2: 'a "quoted" <name>, é'}


def labels() -> np.ndarray:
    found = DrawnSlide((200, 300), 45, seed=5).whole()[..., 1] < 100
    kinds = found.astype(np.uint8)
    kinds[:, 150:] *= 2
    return kinds


def test_features_are_qupaths(tmp_path: Path) -> None:
    _, objects = blocks(tmp_path, labels(), 64, PostProcessing())
    write_geojson(tmp_path / "a.geojson", objects, NAMES, [2], (1.0, 1.0))
    content = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    assert len(content["features"]) == len(objects.areas) > 4
    kinds = set()
    for feature in content["features"]:
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon")
        properties = feature["properties"]
        name = properties["classification"]["name"]
        label = next(label for label, one in NAMES.items() if one == name)
        assert properties["classification"]["color"] == list(colour_of(label))
        kinds.add((label, properties["objectType"]))
    assert kinds == {(1, "annotation"), (2, "detection")}
    assert any(len(feature["geometry"]["coordinates"]) > 1 for feature in content["features"]), "no hole was drawn"


def test_what_is_read_back_is_within_half_a_pixel(tmp_path: Path) -> None:
    truth = labels()
    _, objects = blocks(tmp_path, truth, 64, PostProcessing())
    write_geojson(tmp_path / "a.geojson", objects, NAMES, [], (1.0, 1.0))
    shapes = read_geojson(tmp_path / "a.geojson").shapes
    drawing = draw(shapes, {name: label for label, name in NAMES.items()}, truth.shape)
    apart = drawing.labels != truth
    assert apart.mean() < 0.01
    assert drawing.objects.max() == len(objects.areas)


def test_coordinates_are_those_of_level_0(tmp_path: Path) -> None:
    truth = np.zeros((40, 60), np.uint8)
    truth[10:20, 30:50] = 1
    _, objects = blocks(tmp_path, truth, 64, PostProcessing())
    write_geojson(tmp_path / "a.geojson", objects, {1: "gland"}, [], (2.0, 2.005))
    (feature,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert shapely.from_geojson(json.dumps(feature["geometry"])).bounds == (60.15, 20, 100.25, 40)


def test_no_object_is_an_empty_collection(tmp_path: Path) -> None:
    _, objects = blocks(tmp_path, np.zeros((40, 60), np.uint8), 64, PostProcessing())
    write_geojson(tmp_path / "a.geojson", objects, {1: "gland"}, [], (1.0, 1.0))
    assert json.loads((tmp_path / "a.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
