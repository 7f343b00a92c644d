"""Slides with known objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile

from medt_pipeline.core.slides import Window

GLASS, TISSUE, OBJECT = (243, 243, 243), (232, 160, 196), (92, 44, 140)
TILE = 512


@dataclass(frozen=True)
class Ring:
    """An ellipse with an elliptic hole in x, y of level 0; `hole` 0 for none, as a share of the radii."""

    x: float
    y: float
    across: float
    down: float
    hole: float = 0.0

    def inside(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(h, w) bool: pixels whose centres lie in it."""
        distance = np.hypot((columns[None] + 0.5 - self.x) / self.across, (rows[:, None] + 0.5 - self.y) / self.down)
        return (distance <= 1) & (distance > self.hole if self.hole else True)


@dataclass(frozen=True)
class DrawnSlide:
    """A slide of `size` (height, width): glass, a tissue ellipse in its middle, and rings in cells of `cell` pixels."""

    size: tuple[int, int]
    cell: int
    seed: int = 0
    tissue: float = 0.95
    """Radii of the tissue over half the sides of the slide."""

    def ring(self, row: int, column: int) -> Ring | None:
        """The ring of a cell, which it does not leave; None outside the tissue."""
        return _ring(self, row, column)

    def rings(self) -> list[Ring]:
        """All of them."""
        cells = (
            (row, column) for row in range(self.size[0] // self.cell) for column in range(self.size[1] // self.cell)
        )
        return [ring for cell in cells if (ring := self.ring(*cell)) is not None]

    def labels(self, window: Window, step: int = 1) -> np.ndarray:
        """(h, w) bool: the pixels of objects, of which every `step`th is looked at."""
        rows, columns = _places(window, step)
        found = np.zeros((len(rows), len(columns)), bool)
        for row in range(window.top // self.cell, -(-window.bottom // self.cell)):
            for column in range(window.left // self.cell, -(-window.right // self.cell)):
                ring = self.ring(row, column)
                if ring is not None:
                    # a cell's own pixels only
                    down, across = (
                        slice(*np.searchsorted(places, (one * self.cell, (one + 1) * self.cell)))
                        for places, one in ((rows, row), (columns, column))
                    )
                    found[down, across] = ring.inside(rows[down], columns[across])
        return found

    def picture(self, window: Window, step: int = 1) -> np.ndarray:
        """(h, w, 3) uint8, of which every `step`th pixel is looked at."""
        height, width = self.size
        rows, columns = _places(window, step)
        y, x = ((rows + 0.5) / height * 2 - 1) ** 2, ((columns + 0.5) / width * 2 - 1) ** 2
        kinds = (y[:, None] + x < self.tissue**2).astype(np.uint8)
        kinds[self.labels(window, step)] = 2
        return np.array([GLASS, TISSUE, OBJECT], np.uint8)[kinds]

    def whole(self) -> np.ndarray:
        """The picture of the whole slide."""
        return self.picture(Window(0, 0, *self.size))

    def write(
        self, file: Path, levels: int = 3, ome: bool = False, microns: float | None = 0.5, jpeg: bool = False
    ) -> Path:
        """Write it a tile at a time as tiled TIFF, each level half as large as the one before."""
        settings: dict = {"tile": (TILE, TILE), "photometric": "rgb", "dtype": np.uint8}
        settings |= {"compression": "jpeg", "compressionargs": {"level": 90}} if jpeg else {"compression": "zlib"}
        if microns and not ome:
            settings |= {"resolution": (1e4 / microns, 1e4 / microns), "resolutionunit": "CENTIMETER"}
        size = {"PhysicalSizeX": microns, "PhysicalSizeY": microns} if microns else {}
        with tifffile.TiffWriter(file, bigtiff=True, ome=ome) as writer:
            for level in range(levels):
                shape = tuple(side >> level for side in self.size)
                own: dict = {"subfiletype": 1} if level else {"subifds": levels - 1} if ome else {}
                own["metadata"] = {"axes": "YXS", **size} if ome and not level else None
                writer.write(self._tiles(level, shape), shape=(*shape, 3), **own, **settings)
        return file

    def _tiles(self, level: int, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        for top in range(0, shape[0], TILE):
            for left in range(0, shape[1], TILE):
                bottom, right = min(top + TILE, shape[0]), min(left + TILE, shape[1])
                tile = np.full((TILE, TILE, 3), 255, np.uint8)
                tile[: bottom - top, : right - left] = self._reduced(level, top, left, bottom, right)
                yield tile

    def _reduced(self, level: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        factor = 2**level
        window = Window(top * factor, left * factor, bottom * factor, right * factor)
        if not level:
            return self.picture(window)
        # the mean of four pixels of the level above, of which each is looked at in one place
        fine = self.picture(window, factor // 2)
        return fine.reshape(bottom - top, 2, right - left, 2, 3).mean((1, 3)).round().astype(np.uint8)


def _places(window: Window, step: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(window.top, window.bottom, step), np.arange(window.left, window.right, step)


@lru_cache(maxsize=2**18)
def _ring(slide: DrawnSlide, row: int, column: int) -> Ring | None:
    rng = np.random.default_rng((slide.seed, row, column))
    cell, (height, width) = slide.cell, slide.size
    across, down = rng.uniform(0.4, 1, 2) * 0.4 * cell
    x = column * cell + rng.uniform(across + 2, cell - across - 2)
    y = row * cell + rng.uniform(down + 2, cell - down - 2)
    hole = float(rng.choice((0.0, 0.5)))
    far = np.hypot((x / width * 2 - 1), (y / height * 2 - 1)) / slide.tissue
    fits = far < 1 - 2 * cell / min(height, width) and (row + 1) * cell <= height and (column + 1) * cell <= width
    return Ring(x, y, across, down, hole) if fits else None
