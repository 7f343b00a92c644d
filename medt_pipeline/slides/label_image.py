"""The label image of a slide as a pyramidal, tiled, compressed OME-TIFF, written a tile at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from medt_pipeline.core.files import atomic_path
from medt_pipeline.core.slides import Window
from medt_pipeline.slides.store import BlockStore

TILE = 512
SMALLEST_LEVEL = 1024
"""The pyramid ends where the longer side is no longer than this."""


def level_count(size: tuple[int, int], side: int) -> int:
    """Levels of the pyramid of a label image of `size`, each half as large as the one before; of blocks of `side`
    pixels one is left at least."""
    count = 1
    while max(size) >> (count - 1) > SMALLEST_LEVEL and side >> count > 0:
        count += 1
    return count


def level_size(size: tuple[int, int], level: int) -> tuple[int, int]:
    """(height, width) of a level: every 2^level-th pixel from the first on."""
    return -(-size[0] >> level), -(-size[1] >> level)


def write_label_image(file: Path, levels: Sequence[BlockStore], name: str, microns_per_pixel: float | None) -> None:
    """Write the levels of a label map, the largest first, as OME-TIFF; complete or absent.

    Lower levels hold every second pixel of the one above, so that they hold labels and no mixture of them.

    Args:
        name: of the image in the file.
        microns_per_pixel: side of a pixel of the first level; None leaves it out.
    """
    settings: dict[str, Any] = {
        "dtype": np.uint8,
        "tile": (TILE, TILE),
        "compression": "zlib",
        "photometric": "minisblack",
    }
    size = {} if microns_per_pixel is None else _physical(microns_per_pixel)
    metadata = {"axes": "YX", "Name": name, **size}
    with atomic_path(file) as temporary, tifffile.TiffWriter(temporary, bigtiff=True, ome=True) as writer:
        for level, store in enumerate(levels):
            own: dict[str, Any] = {"subfiletype": 1} if level else {"subifds": len(levels) - 1, "metadata": metadata}
            writer.write(_tiles(store), shape=store.size, **own, **settings)


def _physical(microns: float) -> dict[str, Any]:
    return {
        "PhysicalSizeX": microns,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": microns,
        "PhysicalSizeYUnit": "µm",
    }


def _tiles(store: BlockStore) -> Iterator[np.ndarray]:
    height, width = store.size
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            window = Window(top, left, min(top + TILE, height), min(left + TILE, width))
            beyond = [(0, TILE - side) for side in window.shape]
            yield np.pad(store.read(window), beyond)
