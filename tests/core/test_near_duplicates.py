from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from medt_pipeline.core.images import list_images, read_image
from medt_pipeline.core.levels import to_levels
from medt_pipeline.core.near_duplicates import (
    LEAST_CORRELATION,
    MOST_DIFFERENT_BITS,
    connected_groups,
    details,
    find_similar,
    perceptual_bits,
    similar_pairs,
    thumbnail,
)
from medt_pipeline.demo.histology import draw_histology
from medt_pipeline.demo.ultrasound import draw_ultrasound


def ultrasound(seed: int) -> np.ndarray:
    return draw_ultrasound(np.random.default_rng(seed), 128, 176)[0]


def changed(gray: np.ndarray) -> list[np.ndarray]:
    """The same picture at another size, gain and crop, compressed, and with a text."""
    height, width = gray.shape
    text = gray.copy()
    text[60:66, 70:100] = 255
    return [
        np.asarray(Image.fromarray(gray).resize((width // 2, height // 2), Image.Resampling.BILINEAR)),
        (gray * 0.8).astype(np.uint8),
        gray[2:-1, 1:-2],
        text,
    ]


def test_changed_copies_are_found_and_other_pictures_are_not() -> None:
    pictures = [ultrasound(seed) for seed in range(12)] + changed(ultrasound(3))
    pairs = find_similar(np.stack([thumbnail(picture) for picture in pictures]))
    alike = {3, 12, 13, 14, 15}
    assert {(i, j) for i, j, _ in pairs} == {(i, j) for i in alike for j in alike if i < j}


def test_the_form_of_the_sector_does_not_make_images_alike() -> None:
    """All images of a probe share its edges; other textures in the same fan are other images."""
    rows, columns = np.indices((120, 160))
    radius, angle = np.hypot(rows + 25, columns - 80), np.arctan2(columns - 80, rows + 25)
    inside = (np.abs(angle) < 0.6) & (radius > 35) & (radius < 140)
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(60):
        tissue = ndimage.gaussian_filter(rng.normal(size=(120, 160)), 4)
        gray = (80 + 30 * tissue / tissue.std() - 40 * rows / 120).clip(5, 255)
        pictures.append(np.where(inside, gray, 0).astype(np.uint8))
    assert find_similar(np.stack([thumbnail(picture) for picture in pictures])) == []


def test_drawn_histology_is_not_alike() -> None:
    pictures = [draw_histology(np.random.default_rng(seed), 96, 128)[0].mean(2).astype(np.uint8) for seed in range(8)]
    assert find_similar(np.stack([thumbnail(picture) for picture in pictures])) == []


def test_agrees_with_a_loop_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (40, 32, 32))
    near = (base[:30] + rng.normal(0, 40, (30, 32, 32))).clip(0, 255)
    thumbnails = np.concatenate([base, near]).astype(np.uint8)
    bits, rows = perceptual_bits(thumbnails), details(thumbnails)
    expected = {
        (i, j)
        for i in range(70)
        for j in range(i + 1, 70)
        if (bits[i] != bits[j]).sum() <= MOST_DIFFERENT_BITS and rows[i] @ rows[j] >= LEAST_CORRELATION
    }
    assert {(i, j) for i, j, _ in find_similar(thumbnails)} == expected
    assert len(expected) >= 20


def test_blocks_of_rows_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbnails = np.random.default_rng(1).integers(0, 256, (30, 32, 32)).astype(np.uint8)
    thumbnails[20:] = thumbnails[:10]
    whole = find_similar(thumbnails)
    monkeypatch.setattr("medt_pipeline.core.near_duplicates.ROWS_AT_ONCE", 7)
    assert [(i, j) for i, j, _ in find_similar(thumbnails)] == [(i, j) for i, j, _ in whole]
    assert [(i, j) for i, j, _ in whole] == [(i, i + 20) for i in range(10)]


def test_pictures_without_content_are_not_compared() -> None:
    assert find_similar(np.zeros((3, 32, 32), np.uint8)) == []
    assert find_similar(np.full((3, 32, 32), 200, np.uint8)) == []
    assert find_similar(np.zeros((0, 32, 32), np.uint8)) == []


def test_correlation_is_that_of_numpy() -> None:
    thumbnails = np.random.default_rng(2).integers(0, 256, (2, 32, 32)).astype(np.uint8)
    one, other = details(thumbnails)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert one @ other == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (7, 500), (600, 400)])
def test_thumbnails_of_any_size(shape: tuple[int, int]) -> None:
    gray = np.full(shape, 77, np.uint8)
    assert (thumbnail(gray) == 77).all()
    assert thumbnail(gray).shape == (32, 32)


def test_pairs_across_declared_groups_are_told() -> None:
    pictures = {"a": ultrasound(0), "b": ultrasound(0), "c": ultrasound(1), "d": ultrasound(1)}
    thumbnails = {name: thumbnail(picture) for name, picture in pictures.items()}
    pairs = similar_pairs(list(pictures), thumbnails, {"a": "p1", "b": "p2", "c": "p3", "d": "p3"})
    assert [(pair.first, pair.second, pair.crosses_groups) for pair in pairs] == [("a", "b", True), ("c", "d", False)]
    assert pairs[0].correlation == pytest.approx(1)
    assert not any(pair.crosses_groups for pair in similar_pairs(list(pictures), thumbnails, {}))
    assert similar_pairs([], {}, {}) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_groups_agree_with_union_find(links: list[tuple[int, int]]) -> None:
    names = [str(number) for number in range(10)]
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for one, other in links:
        first, second = sorted((root(str(one)), root(str(other))))
        parent[second] = first
    groups = connected_groups(names, [(str(one), str(other)) for one, other in links])
    assert groups == {name: root(name) for name in names}


@pytest.mark.real_data
def test_known_pairs_of_real_data(real_data: Callable[[str], Path]) -> None:
    files = list_images(real_data("usgra") / "dataset" / "images")
    thumbnails = {}
    for file in files[:90]:
        picture = read_image(file)
        image = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
        thumbnails[file.stem] = thumbnail(to_levels(image).gray)
    pairs = {(pair.first, pair.second) for pair in similar_pairs(list(thumbnails), thumbnails, {})}
    assert {("0043", "0077"), ("0003", "0050"), ("0055", "0058")} <= pairs
    assert len(pairs) < 20
