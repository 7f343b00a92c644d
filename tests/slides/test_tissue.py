"""Tissue is found where it was drawn, and the whole slide is taken where there is no telling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.slides import Window, open_slide
from medt_pipeline.slides.tissue import Tissue, find_tissue, tissue_mask
from tests.slides.drawn_slides import GLASS, TISSUE, DrawnSlide


def drawn(tissue: np.ndarray, noise: float = 4.0) -> np.ndarray:
    picture = np.where(tissue[..., None], TISSUE, GLASS) + np.random.default_rng(0).normal(0, noise, (*tissue.shape, 3))
    return picture.clip(0, 255).astype(np.uint8)


def disc(size: int, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.hypot(rows - size / 2, columns - size / 2) < radius


def test_tissue_is_found_and_widened_a_little() -> None:
    truth = disc(400, 120)
    mask = tissue_mask(drawn(truth))
    assert mask[truth].all()
    assert not mask[~disc(400, 128)].any()


def test_small_holes_are_closed_and_large_ones_stay() -> None:
    truth = disc(400, 150)
    truth[195:203, 195:203] = False
    truth[100:160, 170:230] = False
    mask = tissue_mask(drawn(truth))
    assert mask[198, 198]
    assert not mask[130, 200]


def test_dust_and_colour_noise_are_no_tissue() -> None:
    truth = disc(400, 120)
    picture = drawn(truth)
    picture[10, 10] = (255, 0, 0)
    assert not tissue_mask(picture)[:40, :40].any()


def test_pale_tissue_beside_dark_is_found() -> None:
    """Otsu alone would draw the line between the two."""
    truth = disc(400, 150)
    picture = drawn(truth, 1.0)
    picture[:, 200:][truth[:, 200:]] = (120, 20, 150)
    picture[:, :200][truth[:, :200]] = (240, 205, 225)
    mask = tissue_mask(picture)
    assert mask[truth].mean() > 0.99


def test_a_slide_full_of_tissue_is_not_divided() -> None:
    half = np.zeros((300, 300), bool)
    half[:150] = True
    picture = np.where(half[..., None], (200, 90, 160), (150, 40, 130)).astype(np.uint8)
    assert tissue_mask(picture).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_without_colour_the_whole_slide_counts(level: int) -> None:
    assert not tissue_mask(np.full((50, 60, 3), level, np.uint8)).any()


def test_the_whole_slide_is_taken_on_request_or_in_doubt(tmp_path: Path) -> None:
    slide = DrawnSlide((300, 400), 60)
    found = find_tissue(open_slide(slide.write(tmp_path / "a.tif")))
    assert 0.6 < found.share < 0.9
    assert "Otsu" in found.rule
    assert find_tissue(open_slide(tmp_path / "a.tif"), whole=True).share == 1
    blank = DrawnSlide((300, 400), 60, tissue=1e-9).write(tmp_path / "blank.tif")
    found = find_tissue(open_slide(blank))
    assert found.share == 1
    assert "nothing on it has a colour" in found.rule


def test_windows_of_any_grid_are_compared_with_the_mask() -> None:
    mask = np.zeros((10, 20), bool)
    mask[4:6, 10:12] = True
    tissue = Tissue(mask, np.zeros((10, 20, 3), np.uint8), "drawn")
    size = (1000, 2000)
    assert tissue.touches(Window(590, 1000, 610, 1010), size)
    assert not tissue.touches(Window(600, 1000, 700, 1100), size)
    assert tissue.touches(Window(0, 0, 1000, 2000), size)
    inside = tissue.inside(Window(390, 990, 410, 1010), size)
    assert inside.sum() == 100
    assert inside[10:, 10:].all()
