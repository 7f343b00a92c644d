"""Whole slides: which files are some, the size of their pixels, and regions at any scale, a pyramid level at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import files_of_kind
from medt_pipeline.core.images import ending_of
from medt_pipeline.core.pixel_size import PixelSize, from_dpi, pixel_size
from medt_pipeline.core.pixel_size_of_files import read_pixel_size
from medt_pipeline.core.resampling import reach_of, resample
from medt_pipeline.core.tiff_regions import TiffLevel, tiff_levels

SCANNER_ENDINGS = (".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".svslide", ".bif", ".czi")
"""Files of scanners, which are slides whatever they hold; OpenSlide reads them."""
TIFF_ENDINGS = (".tif", ".tiff")
MOST_PICTURE_PIXELS = 100_000_000
"""A TIFF of more pixels is a slide; so is one of any size that holds a pyramid."""
WHITE = 255
"""Level of all channels where a slide holds nothing."""
SAME_SCALE = 1e-3
"""Scales that differ by less than this share are the same: over 1,000 pixels one pixel."""


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom` and columns `left` to `right` of a grid of pixels, the last ones excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, margin: int, size: tuple[int, int]) -> Window:
        """The window with `margin` pixels more on each side, cut to a grid of `size` (height, width)."""
        return Window(
            max(0, self.top - margin),
            max(0, self.left - margin),
            min(size[0], self.bottom + margin),
            min(size[1], self.right + margin),
        )

    def shared(self, other: Window) -> Window:
        """The pixels that lie in both; of windows that share none, its shape means nothing."""
        return Window(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Where the window lies in an array that shows `outer`."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )


class _Pixels(Protocol):
    """The pixels of a slide, as OpenSlide or tifffile give them."""

    sizes: list[tuple[int, int]]
    """(height, width) of each level, the largest first."""

    def read(self, level: int, window: Window) -> np.ndarray:
        """(h, w, 3) uint8 of a window of that level, in its own pixels."""
        ...


@dataclass(frozen=True, eq=False)
class Slide:
    """An open slide.

    Attributes:
        path: its file.
        pixel_size: of level 0; None where the file does not tell.
    """

    path: Path
    pixel_size: PixelSize | None
    _pixels: _Pixels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of level 0 in pixels; where the scanner tells the scanned bounds, of these."""
        return self._pixels.sizes[0]

    @property
    def microns_per_pixel(self) -> float | None:
        """Side of a square with the area of a pixel of level 0."""
        return None if self.pixel_size is None else math.sqrt(self.pixel_size.y_um * self.pixel_size.x_um)

    def size_at(self, scale: float) -> tuple[int, int]:
        """(height, width) of the slide in pixels of `scale` pixels of level 0."""
        return max(1, round(self.size[0] / scale)), max(1, round(self.size[1] / scale))

    def read(self, window: Window, scale: float = 1.0) -> np.ndarray:
        """Read a window (h, w, 3) uint8 of the slide reduced `scale` times.

        The smallest level that is not smaller than wanted is read and, where it is larger, reduced by a triangle filter
        (`core.resampling`). A pixel depends on its place on the slide and not on the window that asks for it.

        Args:
            window: in pixels of the reduced slide, within `size_at(scale)`.
            scale: pixels of level 0 down and across for one pixel; below 1 enlarges level 0.

        Raises:
            UserError: the file is broken there.
        """
        wanted = self.size_at(scale)
        level = self._level_for(wanted)
        height, width = self._pixels.sizes[level]
        down, across = height / wanted[0], width / wanted[1]
        try:
            if max(abs(height - wanted[0]), abs(width - wanted[1])) <= 1:
                return self._read_level(level, window)
            source = Window(
                math.floor(window.top * down),
                math.floor(window.left * across),
                min(height, math.ceil(window.bottom * down)),
                min(width, math.ceil(window.right * across)),
            ).grown(reach_of(max(down, across)), (height, width))
            picture = self._pixels.read(level, source)
        # OpenSlide, libtiff and the codecs raise whatever the broken byte makes them raise.
        except Exception as error:
            raise UserError(f"{self.path} cannot be read at {window} ({error}); export the slide again.") from error
        corners = (source.top, source.left), (window.top, window.left)
        return resample(picture, corners[0], (height, width), (down, across), corners[1], window.shape)

    def thumbnail(self, longest: int) -> tuple[np.ndarray, float]:
        """The whole slide with at most `longest` pixels on the longer side, (h, w, 3) uint8, and its scale (≥ 1)."""
        scale = max(1.0, max(self.size) / longest)
        height, width = self.size_at(scale)
        bands = [
            self.read(Window(top, 0, min(top + _THUMBNAIL_ROWS, height), width), scale)
            for top in range(0, height, _THUMBNAIL_ROWS)
        ]
        return np.concatenate(bands), scale

    def factors(self, scale: float) -> tuple[float, float]:
        """Pixels of level 0 down and across for one pixel of `size_at(scale)`, which is whole pixels large."""
        height, width = self.size_at(scale)
        return self.size[0] / height, self.size[1] / width

    def _read_level(self, level: int, window: Window) -> np.ndarray:
        """A window of a level, which may reach a pixel beyond it: programs round sizes of levels up or down."""
        height, width = self._pixels.sizes[level]
        there = Window(window.top, window.left, min(window.bottom, height), min(window.right, width))
        beyond = (window.bottom - there.bottom, window.right - there.right)
        picture = self._pixels.read(level, there)
        return np.pad(picture, ((0, beyond[0]), (0, beyond[1]), (0, 0)), "edge") if any(beyond) else picture

    def _level_for(self, wanted: tuple[int, int]) -> int:
        """The smallest level that is not smaller than wanted, but for a pixel by which programs round sizes."""
        large_enough = [
            level
            for level, (height, width) in enumerate(self._pixels.sizes)
            if height >= wanted[0] - 1 and width >= wanted[1] - 1
        ]
        return max(large_enough, default=0)


_THUMBNAIL_ROWS = 32
"""Rows of a thumbnail that are read at once: a slide without a pyramid is then never in memory as a whole."""


def is_slide(path: Path) -> bool:
    """Whether `path` is a slide: a scanner's file, or a TIFF with a pyramid or over `MOST_PICTURE_PIXELS` pixels."""
    ending = ending_of(path)
    if ending in SCANNER_ENDINGS:
        return True
    if ending not in TIFF_ENDINGS:
        return False
    # What is no TIFF is no slide; whoever reads pictures says what is wrong with it.
    with suppress(Exception), tifffile.TiffFile(path) as file:
        return len(file.series[0].levels) > 1 or math.prod(file.series[0].shape[:2]) > MOST_PICTURE_PIXELS
    return False


def list_slides(source: Path) -> list[Path]:
    """The slides among `source` itself or the files directly in it, as `files_of_kind` finds them."""
    return files_of_kind(source, is_slide)


def open_slide(path: Path) -> Slide:
    """Open a slide: TIFF of microscopes (OME) and what OpenSlide does not know by tifffile, all else by OpenSlide.

    Raises:
        UserError: it is missing, cannot be read, holds other than gray or RGB of 8 bits, or OpenSlide is not installed.
    """
    if not path.is_file():
        raise UserError(f"The slide {path} does not exist or is a folder; check the spelling.")
    with suppress(Exception), tifffile.TiffFile(path) as file:
        if file.is_ome:
            return _open_with_tifffile(path)
    openslide = _import_openslide(path)
    try:
        if openslide.OpenSlide.detect_format(path):
            file = openslide.OpenSlide(path)
            return Slide(path, _told_size(file.properties), _OpenSlidePixels(file))
    except openslide.OpenSlideError as error:
        if ending_of(path) not in TIFF_ENDINGS:
            raise UserError(f"OpenSlide cannot read {path} ({error}); export the slide again.") from None
    if ending_of(path) not in TIFF_ENDINGS:
        raise UserError(f"{path} is no slide that OpenSlide knows; export it as SVS, OME-TIFF or pyramidal TIFF.")
    return _open_with_tifffile(path)


def _import_openslide(path: Path) -> Any:
    try:
        import openslide  # optional, and takes 0.1 s to load
    except ImportError:
        raise UserError(
            f"Reading the slide {path.name} takes OpenSlide, which is not installed: pip install medt_pipeline[slides]."
        ) from None
    return openslide


def _told_size(properties: Any) -> PixelSize | None:
    """What the file tells; the resolution of a generic TIFF may be that of a screen."""
    try:
        y, x = float(properties["openslide.mpp-y"]), float(properties["openslide.mpp-x"])
        generic = properties.get("openslide.vendor") == "generic-tiff"
        return from_dpi(25_400 / y, 25_400 / x, "TIFF resolution") if generic else pixel_size(y, x, "OpenSlide")
    except (KeyError, ValueError, ZeroDivisionError):
        return None


class _OpenSlidePixels:
    def __init__(self, file: Any) -> None:
        self._file = file
        told = file.properties
        # The bounds are what was scanned; QuPath counts from there too.
        self._top, self._left = (int(told.get(f"openslide.bounds-{axis}", 0)) for axis in "yx")
        full = file.dimensions[::-1]
        names = ("height", "width")
        height, width = (
            int(told.get(f"openslide.bounds-{name}", length)) for name, length in zip(names, full, strict=True)
        )
        self._reductions = file.level_downsamples
        self.sizes = [(round(height / one), round(width / one)) for one in self._reductions]

    def read(self, level: int, window: Window) -> np.ndarray:
        reduction = self._reductions[level]
        corner = (self._left + round(window.left * reduction), self._top + round(window.top * reduction))
        rgba = np.asarray(self._file.read_region(corner, level, window.shape[::-1]))
        alpha = rgba[..., 3:]
        if alpha.min() == WHITE:
            return np.ascontiguousarray(rgba[..., :3])
        share = alpha.astype(np.float32) / WHITE
        return (rgba[..., :3] * share + WHITE * (1 - share)).round().astype(np.uint8)


def _open_with_tifffile(path: Path) -> Slide:
    levels = tiff_levels(path)
    return Slide(path, read_pixel_size(path), _TiffPixels(levels))


class _TiffPixels:
    def __init__(self, levels: list[TiffLevel]) -> None:
        self._read: list[Callable[[int, int, int, int], np.ndarray]] = [level.read for level in levels]
        self.sizes = [level.size for level in levels]

    def read(self, level: int, window: Window) -> np.ndarray:
        return self._read[level](window.top, window.left, window.bottom, window.right)
