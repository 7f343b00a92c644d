"""Objects of a slide, a block at a time: post-processing in a halo, outlines, and which pieces are one object.

A block's objects are found in a window that reaches over its borders by a halo; the block keeps the pixels inside its
borders as pieces. Beside them it keeps what it knows of the line of pixels just beyond its lower and right border,
where the neighbours have their own numbers: by these lines pieces are joined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from medt_pipeline.core.files import atomic_path
from medt_pipeline.core.slides import Window
from medt_pipeline.postprocessing.recipe import PostProcessing, apply, object_map
from medt_pipeline.postprocessing.steps import STEPS
from medt_pipeline.slides.polygons import outline, pack, unpack
from medt_pipeline.slides.store import BlockStore

BLOCK_SIDE = 2048
LEAST_HALO = 256
"""Pixels around a block: objects up to this size are seen whole wherever they lie, at 0.5 µm a pixel 128 µm."""
LARGEST_HALO = 1024


@dataclass(frozen=True, eq=False)
class Pieces:
    """The objects' pieces in one block.

    Attributes:
        classes: label of each piece, (n,); pieces are numbered 1 to n.
        areas: pixels of each, (n,).
        polygons: (m,) polygons in the slide's pixels; `piece_of`: the piece of each, (m,).
        first_row: numbers along the block's first row; `first_column`: along its first column.
        below: numbers that this block gives to the pixels under its last row, from one before the first column to one
            after the last; 0 where there is no pixel, or no piece in here.
        right: the same beside its last column, from the first row to the last.
    """

    classes: np.ndarray
    areas: np.ndarray
    polygons: np.ndarray
    piece_of: np.ndarray
    first_row: np.ndarray
    first_column: np.ndarray
    below: np.ndarray
    right: np.ndarray


def on_slides(recipe: PostProcessing) -> PostProcessing:
    """The recipe without what needs the whole slide at once or was done before: keep_largest, and smoothing."""
    steps = {value: tuple(step for step in some if step.name != "keep_largest") for value, some in recipe.steps.items()}
    return PostProcessing(0.0, {value: some for value, some in steps.items() if some}, recipe.splitting)


def halo_of(recipe: PostProcessing) -> int:
    """Pixels around a block in which post-processing must see labels to do the same as on the whole slide."""
    reach = [float(LEAST_HALO)]
    for steps in recipe.steps.values():
        # A compact object is about the root of its area across, and what a radius changes reaches twice as far.
        by_area = [step for step in steps if "area" in STEPS[step.name].parameter]
        reach += [2 * math.sqrt(step.amount) if step in by_area else 4 * step.amount for step in steps]
    return min(math.ceil(max(reach)), LARGEST_HALO)


def find_pieces(labels: BlockStore, window: Window, recipe: PostProcessing, classes: int) -> tuple[np.ndarray, Pieces]:
    """Post-process a block and find its pieces of objects.

    Args:
        labels: the label map of the whole slide.
        window: the block's pixels.
        recipe: of `on_slides`.
        classes: number of labels, background included.

    Returns:
        The block's final labels (h, w) uint8, and its pieces.
    """
    outer = window.grown(halo_of(recipe), labels.size)
    found = apply(recipe, labels.read(outer)).astype(np.uint8)
    numbers = object_map(recipe, found, range(1, classes))
    own = window.within(outer)
    inside, final = numbers[own], found[own]
    there = np.unique(inside)
    there = there[there > 0]
    renumber = np.zeros(int(numbers.max(initial=0)) + 1, np.int32)
    renumber[there] = np.arange(1, len(there) + 1)
    numbers = renumber[numbers]
    inside = numbers[own]
    areas = np.bincount(inside.ravel(), minlength=len(there) + 1)[1:]
    label_of = np.zeros(len(there) + 1, np.uint8)
    label_of[inside] = final
    polygons, piece_of = outline(inside, window)
    below, right = _beyond(numbers, window, outer)
    pieces = Pieces(label_of[1:], areas, polygons, piece_of, inside[0], inside[:, 0], below, right)
    return final, pieces


def _beyond(numbers: np.ndarray, window: Window, outer: Window) -> tuple[np.ndarray, np.ndarray]:
    padded = np.pad(numbers, 1)
    # of the padded window: the pixel before the block's first lies at its own place in the window without padding
    top, left = window.top - outer.top, window.left - outer.left
    height, width = window.shape
    return padded[top + height + 1, left : left + width + 2], padded[top + 1 : top + height + 1, left + width + 1]


def write_pieces(file: Path, pieces: Pieces) -> None:
    """Keep pieces in a file, which is complete or absent."""
    content, ends = pack(pieces.polygons)
    arrays = {name: value for name, value in vars(pieces).items() if name != "polygons"}
    with atomic_path(file) as temporary:
        np.savez(temporary, content=content, ends=ends, **arrays)


def read_pieces(file: Path, with_polygons: bool = True) -> Pieces:
    """What `write_pieces` wrote; without its polygons where they are not needed."""
    with np.load(file, allow_pickle=False) as arrays:
        names = ("classes", "areas", "piece_of", "first_row", "first_column", "below", "right")
        known = {name: arrays[name] for name in names}
        none = np.array([], dtype=object)
        polygons = unpack(arrays["content"], arrays["ends"]) if with_polygons else none
    return Pieces(**known, polygons=polygons)


@dataclass(frozen=True, eq=False)
class Objects:
    """Which pieces are one object.

    Attributes:
        object_of: number of the object, from 0, of every piece; those of a block follow each other, block after block.
        first: the place of a block's first piece in `object_of`, in the order of `files`.
        files: of the pieces, a block each.
        pieces: number of pieces of each object; `areas`: its pixels; `classes`: its label.
    """

    object_of: np.ndarray
    first: dict[Path, int]
    files: tuple[Path, ...]
    pieces: np.ndarray
    areas: np.ndarray
    classes: np.ndarray


def join(grid: BlockStore, file_of: Callable[[tuple[int, int]], Path], split: Sequence[int]) -> Objects:
    """Join the pieces of all blocks to objects.

    Pieces of a class whose objects are connected components are joined where both blocks see a pixel as theirs. Where
    objects are split, two blocks may split a large one differently: then those pieces are joined that share most of the
    border with each other.

    Args:
        grid: the blocks.
        file_of: from a place in the grid to the file of its pieces.
        split: labels whose objects are split.
    """
    files = {place: file_of(place) for place in grid.places() if file_of(place).exists()}
    borders = {place: read_pieces(file, with_polygons=False) for place, file in files.items()}
    first, total = {}, 0
    for place, pieces in borders.items():
        first[place] = total
        total += len(pieces.classes)
    classes = np.concatenate([one.classes for one in borders.values()] or [np.array([], np.uint8)])
    areas = np.concatenate([one.areas for one in borders.values()] or [np.array([], np.int64)])
    pairs = np.array([pair for place in files for pair in _pairs(place, borders, first, classes, split)], np.int64)
    pairs = pairs.reshape(-1, 2)
    links = sparse.coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (total, total))
    count, object_of = connected_components(links, directed=False) if total else (0, np.array([], np.int64))
    label = np.zeros(count, np.uint8)
    label[object_of] = classes
    return Objects(
        object_of,
        {files[place]: start for place, start in first.items()},
        tuple(files.values()),
        np.bincount(object_of, minlength=count),
        np.bincount(object_of, areas, minlength=count).astype(np.int64),
        label,
    )


def _pairs(
    place: tuple[int, int],
    borders: dict[tuple[int, int], Pieces],
    first: dict[tuple[int, int], int],
    classes: np.ndarray,
    split: Sequence[int],
) -> Iterator[tuple[int, int]]:
    """Pieces of a block and of the neighbours under and beside it that are one object, as places in all pieces."""
    (row, column), own = place, borders[place]
    seen = (
        ((row + 1, column - 1), own.below[:1], lambda other: other.first_row[-1:]),
        ((row + 1, column), own.below[1:-1], lambda other: other.first_row),
        ((row + 1, column + 1), own.below[-1:], lambda other: other.first_row[:1]),
        ((row, column + 1), own.right, lambda other: other.first_column),
    )
    for neighbour, mine, line in seen:
        if neighbour not in borders:
            continue
        theirs = line(borders[neighbour])
        both = (mine > 0) & (theirs > 0)
        if not both.any():
            continue
        shared = np.stack([mine[both] - 1 + first[place], theirs[both] - 1 + first[neighbour]], axis=1)
        found, counts = np.unique(shared, axis=0, return_counts=True)
        found, counts = (kept[classes[found[:, 0]] == classes[found[:, 1]]] for kept in (found, counts))
        for pair in found[_to_join(found, counts, np.isin(classes[found[:, 0]], split))]:
            yield int(pair[0]), int(pair[1])


def _to_join(pairs: np.ndarray, counts: np.ndarray, split: np.ndarray) -> np.ndarray:
    """(n,) bool: pairs of classes that are not split, and those in which each is the other's best."""
    best = np.ones(len(pairs), bool)
    for side in (0, 1):
        _, inverse = np.unique(pairs[:, side], return_inverse=True)
        most = np.zeros(inverse.max(initial=-1) + 1, np.int64)
        np.maximum.at(most, inverse, counts)
        best &= counts == most[inverse]
    return best | ~split
