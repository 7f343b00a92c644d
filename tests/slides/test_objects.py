"""Objects found block by block are those of the whole label map, however the borders lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from scipy import ndimage

from medt_pipeline.core.slides import Window
from medt_pipeline.postprocessing.recipe import PostProcessing, apply, object_map
from medt_pipeline.postprocessing.splitting import Splitting
from medt_pipeline.postprocessing.steps import Step
from medt_pipeline.slides.geojson import _whole_objects
from medt_pipeline.slides.objects import (
    LARGEST_HALO,
    LEAST_HALO,
    Objects,
    find_pieces,
    halo_of,
    join,
    on_slides,
    read_pieces,
    write_pieces,
)
from medt_pipeline.slides.store import BlockStore

NOTHING = PostProcessing()


def blocks(folder: Path, labels: np.ndarray, side: int, recipe: PostProcessing) -> tuple[np.ndarray, Objects]:
    """The final label map and the objects of a slide that is worked on in blocks."""
    store = BlockStore(folder / "labels", labels.shape, 64)
    for place in store.places():
        window = store.window(place)
        store.write(place, labels[window.top : window.bottom, window.left : window.right])
    grid = BlockStore(folder / "final", labels.shape, side)
    final = np.zeros_like(labels)
    for place in grid.places():
        window = grid.window(place)
        found, pieces = find_pieces(store, window, recipe, int(labels.max()) + 1)
        final[window.top : window.bottom, window.left : window.right] = found
        write_pieces(file_of(folder, place), pieces)
    return final, join(grid, lambda place: file_of(folder, place), list(recipe.splitting))


def file_of(folder: Path, place: tuple[int, int]) -> Path:
    return folder / f"{place[0]}_{place[1]}.npz"


def polygons_of(objects: Objects) -> list[tuple[int, object]]:
    return [pair for labels, polygons in _whole_objects(objects) for pair in zip(labels, polygons, strict=True)]


def truth_of(labels: np.ndarray, recipe: PostProcessing) -> tuple[np.ndarray, np.ndarray]:
    """Label and instance map from the whole map at once."""
    final = apply(recipe, labels)
    return final, object_map(recipe, final, range(1, int(labels.max()) + 1))


def drawn(objects: Objects, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Label and instance map of the polygons."""
    found = polygons_of(objects)
    labels, numbers = np.zeros(shape, np.uint8), np.zeros(shape, np.int32)
    for number, (label, polygon) in enumerate(found, start=1):
        rasterize([(polygon, number)], out=numbers)
        rasterize([(polygon, label)], out=labels)
    return labels, numbers


def assert_same_objects(objects: Objects, labels: np.ndarray, recipe: PostProcessing) -> None:
    """As many objects as on the whole map, and each the same pixels."""
    final, expected = truth_of(labels, recipe)
    by_label, numbers = drawn(objects, labels.shape)
    assert np.array_equal(by_label, final)
    pairs = np.unique(np.stack([numbers.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == len(objects.areas) + (final == 0).any() == expected.max() + (final == 0).any()


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), side=st.sampled_from((16, 32, 64)), sigma=st.sampled_from((0.7, 2.0, 4.0)))
def test_connected_components_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, seed: int, side: int, sigma: float
) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(20, 90, 2)
    field = ndimage.gaussian_filter(rng.normal(size=(2, height, width)), (0, sigma, sigma))
    labels = np.where(field[0] > field.std() / 2, 1, np.where(field[1] > field.std(), 2, 0)).astype(np.uint8)
    final, objects = blocks(tmp_path_factory.mktemp("slide"), labels, side, NOTHING)
    assert np.array_equal(final, labels)
    assert_same_objects(objects, labels, NOTHING)
    assert objects.areas[objects.classes == 1].sum() == (labels == 1).sum()


def discs(size: tuple[int, int], radius: float, step: int, seed: int) -> np.ndarray:
    """Discs of which neighbours overlap."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    mask = np.zeros(size, bool)
    for row in range(step, size[0] - step, step):
        for column in range(step, size[1] - step, step):
            y, x = np.array([row, column]) + rng.uniform(-0.15, 0.15, 2) * step
            mask |= np.hypot(rows - y, columns - x) < radius
    return mask.astype(np.uint8)


def test_split_objects_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medt_pipeline.slides.objects.LEAST_HALO", 64)
    recipe = PostProcessing(splitting={1: Splitting(1.5, 1.0)})
    labels = discs((360, 300), 11, 20, 0)
    assert ndimage.label(labels)[1] < 20
    _, objects = blocks(tmp_path, labels, 128, recipe)
    assert len(objects.areas) > 150
    assert_same_objects(objects, labels, recipe)


def test_steps_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (Step("fill_holes", 40), Step("remove_small_objects", 150), Step("open", 2), Step("close", 3))
    recipe = PostProcessing(steps={1: steps})
    monkeypatch.setattr("medt_pipeline.slides.objects.LEAST_HALO", 64)
    labels = discs((300, 300), 8, 22, 1)
    labels[ndimage.gaussian_filter(np.random.default_rng(2).normal(size=labels.shape), 1.5) > 0.25] = 0
    final, objects = blocks(tmp_path, labels, 128, recipe)
    assert np.array_equal(final, apply(recipe, labels))
    assert_same_objects(objects, labels, recipe)


def test_an_object_over_many_blocks_is_one_with_its_holes(tmp_path: Path) -> None:
    labels = np.zeros((300, 300), np.uint8)
    labels[10:290, 10:290] = 2
    labels[60:240, 60:240] = 0
    labels[127, 127] = labels[128, 128] = 1  # over the corner of four blocks
    _, objects = blocks(tmp_path, labels, 64, NOTHING)
    (small, corner), (large, ring) = sorted(polygons_of(objects), key=lambda one: one[0])
    assert (small, large) == (1, 2)
    assert ring.area == 280**2 - 180**2
    assert [shapely.Polygon(one).bounds for one in ring.interiors] == [(60, 60, 240, 240)]
    assert corner.area == 2
    assert sorted(objects.pieces.tolist()) == [2, 5 * 5 - 2 * 2]


def test_an_object_that_blocks_split_differently_is_cut_and_not_lost(tmp_path: Path) -> None:
    """A bar longer than the halo, split where it is narrow."""
    labels = np.zeros((80, 1400), np.uint8)
    labels[20:60, 10:1390] = 1
    for column in range(60, 1390, 50):
        labels[20:32, column - 2 : column + 2] = labels[48:60, column - 2 : column + 2] = 0
    recipe = PostProcessing(splitting={1: Splitting(3.0)})
    _, objects = blocks(tmp_path, labels, 512, recipe)
    assert objects.areas.sum() == (labels > 0).sum()
    assert sum(polygon.area for _, polygon in polygons_of(objects)) == (labels > 0).sum()


def test_pieces_come_back_from_their_file(tmp_path: Path) -> None:
    labels = discs((70, 70), 5, 16, 3)
    store = BlockStore(tmp_path / "labels", labels.shape, 70)
    store.write((0, 0), labels)
    _, pieces = find_pieces(store, Window(0, 0, 70, 70), NOTHING, 2)
    write_pieces(tmp_path / "a.npz", pieces)
    back = read_pieces(tmp_path / "a.npz")
    for name, value in vars(pieces).items():
        assert np.array_equal(getattr(back, name), value) or shapely.equals(back.polygons, pieces.polygons).all()
    assert len(read_pieces(tmp_path / "a.npz", with_polygons=False).polygons) == 0


def test_a_slide_without_objects_has_none(tmp_path: Path) -> None:
    _, objects = blocks(tmp_path, np.zeros((50, 60), np.uint8), 32, NOTHING)
    assert polygons_of(objects) == []
    grid = BlockStore(tmp_path / "none", (50, 60), 32)
    assert len(join(grid, lambda place: tmp_path / "no" / "file", []).areas) == 0


def test_what_needs_the_whole_slide_is_left_out() -> None:
    recipe = PostProcessing(2.0, {1: (Step("keep_largest"), Step("fill_holes", 9)), 2: (Step("keep_largest"),)})
    assert on_slides(recipe) == PostProcessing(0.0, {1: (Step("fill_holes", 9),)})


@pytest.mark.parametrize(
    ("step", "halo"),
    [(Step("fill_holes", 9), LEAST_HALO), (Step("open", 100), 400), (Step("remove_small_objects", 1e9), LARGEST_HALO)],
)
def test_the_halo_follows_the_recipe(step: Step, halo: int) -> None:
    assert halo_of(PostProcessing(steps={1: (step,)})) == halo
