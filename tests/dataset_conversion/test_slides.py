"""Regions of slides become training images at the wanted scale, with the objects drawn in QuPath as masks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image, read_mask
from medt_pipeline.core.slides import Window
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.slides import SlidesOptions, convert
from medt_pipeline.dataset_conversion.target import Target
from tests.slides.drawn_slides import DrawnSlide, Ring

SIZE = (400, 520)


def circle(ring: Ring, name: str = "gland") -> dict[str, Any]:
    turn = np.linspace(0, 2 * np.pi, 200)
    middle, around = np.array([ring.x, ring.y]), np.stack([ring.across * np.cos(turn), ring.down * np.sin(turn)], 1)
    holes = [(middle + ring.hole * around).tolist()] if ring.hole else []
    return feature([(middle + around).tolist(), *holes], {"classification": {"name": name}})


def box(left: float, top: float, right: float, bottom: float, **properties: Any) -> dict[str, Any]:
    return feature([[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]], properties)


def feature(rings: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": rings}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": "annotation", **properties}}


REGION = {"classification": {"name": "Region*"}}


def write(
    folder: Path, name: str, regions: list[dict[str, Any]], microns: float | None = 0.25, seed: int = 0
) -> DrawnSlide:
    folder.mkdir(exist_ok=True)
    slide = DrawnSlide(SIZE, 60, seed)
    slide.write(folder / f"{name}.tif", microns=microns)
    features = [*regions, *(circle(ring) for ring in slide.rings())]
    (folder / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return slide


def target(tmp_path: Path) -> Target:
    return Target(Workspace(tmp_path / "raw", tmp_path / "pre", tmp_path / "results"), 120, "Slides")


def test_regions_become_cases_with_their_masks(tmp_path: Path) -> None:
    regions = [box(60, 60, 260, 180, **REGION), box(240.4, 200, 460, 330.2, name="region 2")]
    slides = {name: write(tmp_path / "in", name, regions, seed=seed) for seed, name in enumerate(("a", "b"))}
    summary = convert(tmp_path / "in", target(tmp_path))
    assert summary.training_cases == 4
    raw = target(tmp_path).folder
    cases = read_cases(raw)
    assert set(cases) == {"a_r1", "a_r2", "b_r1", "b_r2"}
    assert {name: case.group for name, case in cases.items()} == {name: name[0] for name in cases}
    assert cases["a_r1"].pixel_size_um == (0.25, 0.25)
    assert cases["a_r2"].facts == {"left_px": 240, "top_px": 200, "right_px": 460, "bottom_px": 330}
    for name, window in (("r1", Window(60, 60, 180, 260)), ("r2", Window(200, 240, 330, 460))):
        for slide, drawn in slides.items():
            picture = read_image(raw / "imagesTr" / f"{slide}_{name}_0000.png")
            assert np.array_equal(picture, drawn.picture(window))
            labels = read_mask(raw / "labelsTr" / f"{slide}_{name}.png")
            assert (labels.astype(bool) != drawn.labels(window)).mean() < 0.003
            assert read_mask(raw / "instancesTr" / f"{slide}_{name}.png").max() > 2
    assert "in no region left out" in summary.to_text()


def test_regions_are_cut_at_the_wanted_scale(tmp_path: Path) -> None:
    drawn = write(tmp_path / "in", "a", [box(60, 60, 260, 180, **REGION)])
    write(tmp_path / "in", "b", [box(60, 60, 260, 180, **REGION)], microns=0.5, seed=1)
    with pytest.raises(UserError, match=r"several sizes .* --microns-per-pixel"):
        convert(tmp_path / "in", target(tmp_path))
    convert(tmp_path / "in", target(tmp_path), SlidesOptions(microns_per_pixel=0.5))
    raw = target(tmp_path).folder
    sizes = {name: read_mask(raw / "labelsTr" / f"{name}_r1.png").shape for name in "ab"}
    assert sizes == {"a": (60, 100), "b": (120, 200)}
    assert {case.pixel_size_um for case in read_cases(raw).values()} == {(0.5, 0.5)}
    half = drawn.labels(Window(60, 60, 180, 260)).reshape(60, 2, 100, 2).mean((1, 3))
    labels = read_mask(raw / "labelsTr" / "a_r1.png").astype(bool)
    assert labels[half == 1].mean() > 0.99
    assert labels[half == 0].mean() < 0.01


def test_locked_rectangles_without_a_class_are_regions_where_none_is_named(tmp_path: Path) -> None:
    locked = box(60, 60, 260, 180, isLocked=True)
    gland = box(300, 100, 330, 130, isLocked=True, classification={"name": "gland"})
    write(tmp_path / "in", "a", [locked, gland])
    assert convert(tmp_path / "in", target(tmp_path)).training_cases == 1


@pytest.mark.parametrize(
    ("regions", "sentence"),
    [
        ([], r"a\.geojson has no region; draw rectangles"),
        ([box(600, 60, 700, 90, **REGION)], "feature 1: the region lies beside the slide"),
        ([feature([[[0, 0], [90, 10], [80, 90], [0, 0]]], REGION)], "feature 1: a region must be an upright rectangle"),
    ],
)
def test_mistakes_in_regions_are_told(tmp_path: Path, regions: list[dict[str, Any]], sentence: str) -> None:
    write(tmp_path / "in", "a", regions)
    with pytest.raises(UserError, match=sentence):
        convert(tmp_path / "in", target(tmp_path))
    assert not target(tmp_path).folder.exists()


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    write(tmp_path / "in", "a", [box(60, 60, 260, 180, **REGION)], microns=None)
    with pytest.raises(UserError, match=r"a\.tif does not tell the size of its pixels"):
        convert(tmp_path / "in", target(tmp_path), SlidesOptions(microns_per_pixel=0.5))
    (tmp_path / "in" / "b.geojson").write_text("[]")
    with pytest.raises(UserError, match=r"annotations b\.geojson: no slide.*--skip-unpaired"):
        convert(tmp_path / "in", target(tmp_path))
    summary = convert(tmp_path / "in", target(tmp_path), SlidesOptions(skip_unpaired=True))
    assert summary.left_out == ("annotations b.geojson: no slide",)
    assert summary.pixel_sizes == 0
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no slide with a GeoJSON of the same name"):
        convert(tmp_path / "empty", replace(target(tmp_path), overwrite=True))


def test_patients_are_told_by_the_name_of_the_slide(tmp_path: Path) -> None:
    for seed, name in enumerate(("p1_a", "p1_b")):
        write(tmp_path / "in", name, [box(60, 60, 260, 180, **REGION)], seed=seed)
    convert(tmp_path / "in", target(tmp_path), SlidesOptions(groups="^(p[0-9]+)_"))
    assert {case.group for case in read_cases(target(tmp_path).folder).values()} == {"p1"}
