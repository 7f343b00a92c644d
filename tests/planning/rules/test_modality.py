from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from medt_pipeline.demo.histology import draw_histology
from medt_pipeline.demo.ultrasound import draw_ultrasound
from medt_pipeline.planning.rules.modality import choose_modality
from tests.planning.summaries import real_summary, summary_of


def histology(seed: int) -> np.ndarray:
    return draw_histology(np.random.default_rng(seed), 128, 160)[0]


def ultrasound(seed: int) -> np.ndarray:
    return draw_ultrasound(np.random.default_rng(seed), 128, 160)[0]


def fluorescence(seed: int, spots: int = 40, shape: tuple[int, int] = (128, 160)) -> np.ndarray:
    """Bright round nuclei on black, with the noise of a camera."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.full(shape, 3.0)
    for _ in range(spots):
        radius = rng.uniform(5, 9)
        image += rng.uniform(80, 180) * (np.hypot(y - rng.uniform(0, shape[0]), x - rng.uniform(0, shape[1])) < radius)
    return np.clip(ndimage.gaussian_filter(image, 1.2) + rng.normal(0, 2, shape), 0, 255).astype(np.uint8)


def fluorescence_in_colour(seed: int) -> np.ndarray:
    gray = fluorescence(seed)
    return np.stack([np.zeros_like(gray), np.roll(gray, 9, 1) // 2, gray], axis=-1)


def drawing(seed: int) -> np.ndarray:
    image = np.full((128, 160, 3), 255, np.uint8)
    image[20:60, 20 + seed : 70] = (200, 30, 30)
    image[70:110, 90:150] = (30, 60, 200)
    return image


def head(seed: int) -> np.ndarray:
    """An ellipse of soft tissue on black with noise, as a magnetic resonance image has it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-64:64, -80:80]
    inside = (y / 55) ** 2 + (x / 45) ** 2 < 1
    return np.clip(
        inside * (90 + 20 * ndimage.gaussian_filter(rng.normal(size=inside.shape), 6) * 9)
        + inside * rng.normal(0, 12, inside.shape),
        0,
        255,
    ).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("glas", "histology"), ("monuseg", "histology"), ("busi", "ultrasound"), ("usgra", "ultrasound")],
)
def test_real_sets(name: str, expected: str) -> None:
    decision = choose_modality(real_summary(name))
    assert decision.value == expected
    assert decision.reason.startswith(expected.capitalize())
    assert decision.reason.count(".") >= 2  # numbers, and one full stop
    assert decision.facts["cases"] > 0
    json.dumps(decision.record())


@pytest.mark.parametrize("seed", [0, 50, 100])
def test_drawn_sets(seed: int) -> None:
    assert choose_modality(summary_of([histology(seed + i) for i in range(4)])).value == "histology"
    gray = [ultrasound(seed + i) for i in range(4)]
    assert choose_modality(summary_of(gray)).value == "ultrasound"
    assert choose_modality(summary_of([np.stack([one] * 3, -1) for one in gray])).value == "ultrasound"


@pytest.mark.parametrize(
    "images",
    [
        pytest.param([data.astronaut(), data.coffee(), data.chelsea()], id="photographs"),
        pytest.param([data.coins()], id="coins"),
        pytest.param([data.camera()], id="camera"),
        pytest.param([data.moon()], id="moon"),
        pytest.param([data.grass(), data.gravel(), data.brick()], id="textures"),
        pytest.param([data.page()], id="page"),
        pytest.param([(data.shepp_logan_phantom() * 255).astype(np.uint8)], id="phantom"),
        pytest.param([data.immunohistochemistry()], id="brown DAB"),
        pytest.param([fluorescence(i) for i in range(4)], id="fluorescence"),
        pytest.param([fluorescence(i, 300) for i in range(4)], id="dense fluorescence"),
        pytest.param([fluorescence_in_colour(i) for i in range(4)], id="fluorescence in colour"),
        pytest.param([drawing(i) for i in range(4)], id="drawing"),
        pytest.param([head(i) for i in range(4)], id="head"),
        pytest.param([np.zeros((64, 64), np.uint8)], id="black"),
        pytest.param([np.full((64, 64, 3), 200, np.uint8)], id="one colour"),
        pytest.param([np.random.default_rng(0).integers(0, 256, (64, 64, 4))], id="four channels"),
        pytest.param([np.random.default_rng(0).normal(100, 40, (96, 96)).clip(0, 255).round()], id="noise"),
    ],
)
def test_anything_else_is_other(images: list[np.ndarray]) -> None:
    decision = choose_modality(summary_of(images))
    assert decision.value == "other"
    assert decision.reason.startswith("Other")
    assert decision.reason.endswith(".")


def test_a_set_of_both_kinds_is_neither() -> None:
    mixed = [histology(0), histology(1)] + [np.stack([ultrasound(i)] * 3, -1) for i in range(2)]
    decision = choose_modality(summary_of(mixed))
    assert decision.value == "other"
    assert "50% of the cases are coloured and 50% gray" in decision.reason


def test_histology_without_empty_slide_needs_closer_stains() -> None:
    glas = real_summary("glas")
    assert glas.stain is not None
    covered = dataclasses.replace(glas, stain=dataclasses.replace(glas.stain, background_share=0.0))
    assert choose_modality(covered).value == "histology"
    stain = dataclasses.replace(glas.stain, background_share=0.0, eosin_reference_angle_deg=15.0)
    decision = choose_modality(dataclasses.replace(glas, stain=stain))
    assert decision.value == "other"
    assert "12° are allowed as no empty slide is seen" in decision.reason


def test_marked_screens_in_gray_that_brighten_with_depth_are_not_ultrasound() -> None:
    busi = real_summary("busi")
    assert busi.ultrasound is not None
    level = dataclasses.replace(busi.ultrasound, depth_slope=0.1, darker_with_depth_share=0.4)
    assert choose_modality(dataclasses.replace(busi, ultrasound=level)).value == "other"
