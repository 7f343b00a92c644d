"""Label maps larger than memory: square blocks in files, of which any window can be read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np

from medt_pipeline.core.files import make_folder
from medt_pipeline.core.images import write_png
from medt_pipeline.core.slides import Window

CACHE_BYTES = 64 * 2**20
"""Decoded blocks kept in memory."""


class BlockStore:
    """A label map of `size` (height, width) in PNG files of `side` × `side` pixels; a file that is missing is all 0."""

    def __init__(self, folder: Path, size: tuple[int, int], side: int) -> None:
        self.folder, self.size, self.side = make_folder(folder), size, side
        self._cache: OrderedDict[tuple[int, int], np.ndarray | None] = OrderedDict()
        self._most = max(4, CACHE_BYTES // side**2)

    @property
    def rows(self) -> int:
        """Number of blocks from top to bottom."""
        return -(-self.size[0] // self.side)

    @property
    def columns(self) -> int:
        """Number of blocks from left to right."""
        return -(-self.size[1] // self.side)

    def places(self) -> Iterator[tuple[int, int]]:
        """(row, column) of every block, row after row."""
        return ((row, column) for row in range(self.rows) for column in range(self.columns))

    def window(self, place: tuple[int, int]) -> Window:
        """The pixels of a block; at the right and lower border blocks are smaller."""
        top, left = place[0] * self.side, place[1] * self.side
        return Window(top, left, min(top + self.side, self.size[0]), min(left + self.side, self.size[1]))

    def file(self, place: tuple[int, int]) -> Path:
        """Where the block lies."""
        return self.folder / f"{place[0]}_{place[1]}.png"

    def write(self, place: tuple[int, int], labels: np.ndarray) -> None:
        """Write a block, (h, w) uint8 of the shape of its window; it is complete or absent."""
        write_png(self.file(place), labels)

    def read(self, window: Window) -> np.ndarray:
        """(h, w) uint8 of a window within the map."""
        picture = np.zeros(window.shape, np.uint8)
        for row in range(window.top // self.side, -(-window.bottom // self.side)):
            for column in range(window.left // self.side, -(-window.right // self.side)):
                block = self._block((row, column))
                if block is not None:
                    own = self.window((row, column))
                    shared = own.shared(window)
                    picture[shared.within(window)] = block[shared.within(own)]
        return picture

    def _block(self, place: tuple[int, int]) -> np.ndarray | None:
        if place in self._cache:
            self._cache.move_to_end(place)
            return self._cache[place]
        file = self.file(place)
        block = imagecodecs.png_decode(file.read_bytes()) if file.exists() else None
        self._cache[place] = block
        if len(self._cache) > self._most:
            self._cache.popitem(last=False)
        return block
