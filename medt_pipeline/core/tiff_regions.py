"""Regions of a large TIFF by tifffile: only the tiles or strips that a region touches are read and decoded."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from medt_pipeline.core.errors import UserError

CACHE_BYTES = 64 * 2**20
"""Decoded tiles kept, a level: neighbouring regions share some."""
LARGEST_SEGMENT = 256 * 2**20
"""Bytes of a tile or strip; a file that is one strip can only be read as a whole."""


class TiffLevel:
    """One level of a pyramid: gray or RGB of 8 bits, channels interleaved or in planes of their own.

    Attributes:
        size: (height, width).

    Raises:
        UserError: the pixels are others, or a tile is above `LARGEST_SEGMENT`.
    """

    def __init__(self, path: Path, pages: list[Any], axes: str) -> None:
        self._path, self._pages = path, pages
        page = pages[0]
        self.size: tuple[int, int] = (page.imagelength, page.imagewidth)
        channels = len(pages) if len(pages) > 1 else page.samplesperpixel
        if page.dtype != np.uint8 or channels not in (1, 3, 4) or axes not in ("YX", "YXS", "CYX", "SYX"):
            raise UserError(
                f"{path} holds {channels} channels of {page.dtype} ({axes}); a slide must hold gray or RGB of 8 bits."
            )
        strip = (min(page.rowsperstrip, page.imagelength), page.imagewidth)
        self._tile = (page.tilelength, page.tilewidth) if page.is_tiled else strip
        segment = self._tile[0] * self._tile[1] * page.samplesperpixel
        if segment > LARGEST_SEGMENT:
            raise UserError(f"{path} is not tiled; save it as a tiled pyramidal TIFF, for example with vips or QuPath.")
        self._cache: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._most = max(1, CACHE_BYTES // segment)

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """(h, w, 3) uint8 of rows `top` to `bottom` and columns `left` to `right`; gray is repeated."""
        channels = [self._plane(page, top, left, bottom, right) for page in self._planes()]
        picture = np.concatenate(channels, axis=-1)[..., :3]
        return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else np.ascontiguousarray(picture)

    def _planes(self) -> list[tuple[int, int]]:
        """(page, plane) of every array of channels that lies apart."""
        separate = self._pages[0].planarconfig == tifffile.PLANARCONFIG.SEPARATE
        count = self._pages[0].samplesperpixel if separate else 1
        return [(page, plane) for page in range(len(self._pages)) for plane in range(count)]

    def _plane(self, place: tuple[int, int], top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """(h, w, channels) of one page and plane."""
        rows, columns = self._tile
        across, down = -(-self.size[1] // columns), -(-self.size[0] // rows)
        bands = []
        for row in range(top // rows, -(-bottom // rows)):
            tiles = []
            for column in range(left // columns, -(-right // columns)):
                tile = self._segment(place[0], (place[1] * down + row) * across + column)
                y, x = row * rows, column * columns
                tiles.append(tile[max(top - y, 0) : bottom - y, max(left - x, 0) : right - x])
            bands.append(np.concatenate(tiles, axis=1))
        return np.concatenate(bands)

    def _segment(self, number: int, index: int) -> np.ndarray:
        """One decoded tile (h, w, channels), from the cache where it was read lately."""
        key = (number, index)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        page = self._pages[number]
        file = page.parent.filehandle
        file.seek(page.dataoffsets[index])
        content = file.read(page.databytecounts[index])
        decoded, _, shape = page.decode(content, index, jpegtables=page.jpegtables)
        # a tile of which a file holds no byte is empty
        tile = np.full((*shape[1:3], page.samplesperpixel), 255, np.uint8) if decoded is None else decoded[0]
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            tile = 255 - tile
        self._cache[key] = tile
        if len(self._cache) > self._most:
            self._cache.popitem(last=False)
        return tile


def tiff_levels(path: Path) -> list[TiffLevel]:
    """The levels of the first image of a TIFF, the largest first; its file stays open as long as they are used.

    Raises:
        UserError: it is broken, or holds other than gray or RGB of 8 bits.
    """
    try:
        series = tifffile.TiffFile(path).series[0]
        return [
            TiffLevel(path, [page.aspage() for page in level.pages if page is not None], level.axes)
            for level in series.levels
        ]
    except UserError:
        raise
    # tifffile raises whatever a broken byte makes it raise
    except Exception as error:
        raise UserError(f"{path} cannot be read as a TIFF ({error}); export the slide again.") from error
