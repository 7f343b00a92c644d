"""What a gray image shows if it is ultrasound: the insonified sector, burned-in marks, speckle, gain and depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medt_pipeline.core.levels import block_means
from medt_pipeline.fingerprint.objects import EIGHT_CONNECTED

SECTOR_SIDE = 256
"""Longer side in blocks at which the sector is looked for: speckle and thin gaps average out."""

BLACK_LEVEL = 4
"""Mean level of 255 up to which a block is black: screens are black, tissue without echo is noise above it."""

RECTANGLE_FILL = 0.93
"""Share of the upper third of its bounding box that a rectangular sector fills at least; fans are narrower there."""

MARK_LEVEL = 180
"""Level of 255 from which a pixel may be part of a text or caliper."""

MARK_JUMP = 110
"""Levels by which the edge of a letter rises over the next pixel; hardly an echo does, as the pulse is wider."""

MARK_REACH = 2
"""Pixels from its edge to the middle of a stroke."""

LEAST_MARK_PIXELS = 60
"""Pixels of all marks together from which they count as present; fewer may be single bright echoes."""

WINDOW = 8
"""Side in pixels of the windows of the speckle statistics."""

USABLE_LEVELS = (16, 239)
"""Mean levels of windows that neither black nor white clips."""


@dataclass(frozen=True)
class UltrasoundFacts:
    """Facts about a gray image, sensible where it is ultrasound. None where there is no sector: an all-black image.

    Attributes:
        sector_share: area of the sector over that of the image, 0 to 1; 0 where there is none.
        sector_top_px: first row of the sector's bounding box.
        sector_bottom_px: row after its last one.
        sector_left_px: first column.
        sector_right_px: column after its last one.
        sector_fill: area of the sector over that of its bounding box, 0 to 1.
        sector_upper_fill: the same for the upper third of the box, where fans and trapezoids are narrow, but where no
            depth is too dark to be seen.
        sector_shape: "rectangle" from an upper fill of `RECTANGLE_FILL` on, else "fan"; "none" without a sector.
        marks_share: share of the image's pixels that look like burned-in text, calipers or coloured marks.
        has_marks: these are at least `LEAST_MARK_PIXELS`.
        speckle_snr: mean over standard deviation of the levels in windows of 8 × 8 pixels, median over the windows in
            the sector; None where no window can be used.
        gain: mean level in the sector, 0 to 1.
        depth_slope: slope of the logarithm of the rows' mean level in the sector over depth, in 1 / image height;
            negative where it gets darker with depth; None for fewer than two rows.
        upper_half_excess: (upper − lower) / (upper + lower) of the mean levels of both halves of the sector's bounding
            box, −1 to 1; positive where the upper is brighter.
    """

    sector_share: float
    sector_top_px: int | None
    sector_bottom_px: int | None
    sector_left_px: int | None
    sector_right_px: int | None
    sector_fill: float | None
    sector_upper_fill: float | None
    sector_shape: str
    marks_share: float
    has_marks: bool
    speckle_snr: float | None
    gain: float | None
    depth_slope: float | None
    upper_half_excess: float | None


def measure_ultrasound(gray: np.ndarray, coloured: np.ndarray | None = None) -> UltrasoundFacts:
    """Facts about `gray`, (H, W) uint8; `coloured`, (H, W) bool, are pixels with a colour, which count as marks."""
    sector = find_sector(gray)
    marks = find_marks(gray)
    if coloured is not None:
        marks |= coloured
    number = int(np.count_nonzero(marks))
    marked = (number / gray.size, number >= LEAST_MARK_PIXELS)
    if not sector.any():
        return UltrasoundFacts(0.0, *(None,) * 6, "none", *marked, *(None,) * 4)
    rows, columns = np.flatnonzero(sector.any(1)), np.flatnonzero(sector.any(0))
    box = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    area = int(np.count_nonzero(sector))
    within = sector[box[0] : box[1], box[2] : box[3]]
    upper_fill = float(within[: (len(within) + 2) // 3].mean())
    # Marks are no echoes.
    tissue = sector & ~marks
    counts, sums = np.count_nonzero(tissue, axis=1), np.where(tissue, gray, 0).sum(1, dtype=np.int64)
    return UltrasoundFacts(
        area / gray.size,
        *box,
        float(within.mean()),
        upper_fill,
        "rectangle" if upper_fill >= RECTANGLE_FILL else "fan",
        *marked,
        speckle_snr(gray, tissue),
        float(sums.sum() / (255 * counts.sum())) if counts.sum() else None,
        depth_slope(counts, sums),
        upper_half_excess(counts[box[0] : box[1]], sums[box[0] : box[1]]),
    )


def find_sector(gray: np.ndarray) -> np.ndarray:
    """(H, W) bool: the largest 8-connected region of `gray`, (H, W) uint8, that is not black; all False if none is.

    Looked for on blocks, so the border is exact to one block: a pixel where the image has up to `SECTOR_SIDE` pixels a
    side. Dark places within count as sector; texts apart from it and thin lines that lead out of it do not.
    """
    step = int(np.ceil(max(gray.shape) / SECTOR_SIDE))
    bright = block_means(gray, step) > BLACK_LEVEL
    around = np.pad(bright, 3, mode="edge")
    closed = ndimage.binary_erosion(ndimage.binary_dilation(around, EIGHT_CONNECTED, 2), EIGHT_CONNECTED, 2)
    opened = ndimage.binary_dilation(ndimage.binary_erosion(closed, EIGHT_CONNECTED), EIGHT_CONNECTED)
    regions, count = ndimage.label(opened[3:-3, 3:-3], EIGHT_CONNECTED)
    if not count:
        return np.zeros(gray.shape, bool)
    largest = regions == np.argmax(np.bincount(regions.ravel())[1:]) + 1
    filled = ndimage.binary_fill_holes(largest)
    return filled.repeat(step, 0).repeat(step, 1)[: gray.shape[0], : gray.shape[1]]


def find_marks(gray: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of `gray`, (H, W) uint8, that look like burned-in letters and calipers.

    These are bright pixels near an upright and a level edge, both sharper than any echo along the beam and across it;
    bright layers of tissue have level edges only. Marks that were blurred when the image was enlarged are not found,
    and a speckle as fine as the pixels is mistaken for marks.
    """
    bright = gray >= MARK_LEVEL
    marks = bright
    for window in ((1, 3), (3, 1)):
        edges = bright & (gray - ndimage.minimum_filter(gray, window) >= MARK_JUMP)
        if not edges.any():
            return edges
        marks = marks & ndimage.binary_dilation(edges, EIGHT_CONNECTED, MARK_REACH)
    return marks


def speckle_snr(gray: np.ndarray, sector: np.ndarray) -> float | None:
    """Median of mean over standard deviation in windows of `gray`, (H, W) uint8, that lie in `sector`, (H, W) bool.

    Windows without variation or at the ends of the scale (`USABLE_LEVELS`) do not count; None where none does. 1.91 for
    fully developed speckle before compression (Burckhardt 1978), higher after it.
    """
    inside = block_means(sector, WINDOW, whole=True) == 1
    mean = block_means(gray, WINDOW, whole=True)
    square = block_means(gray.astype(np.uint16) ** 2, WINDOW, whole=True)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    used = inside & (mean >= USABLE_LEVELS[0]) & (mean <= USABLE_LEVELS[1]) & (std > 0)
    return float(np.median(mean[used] / std[used])) if used.any() else None


def depth_slope(counts: np.ndarray, sums: np.ndarray) -> float | None:
    """Slope of ln(mean level) of rows over their depth in image heights, each row weighted with its pixels.

    Args:
        counts: (H,) pixels in the sector by row.
        sums: (H,) sums of their levels; a level is added to every mean, so that black rows have a logarithm.
    """
    rows = np.flatnonzero(counts)
    if len(rows) < 2:
        return None
    # polyfit squares its weights.
    weights = np.sqrt(counts[rows])
    return float(np.polyfit(rows / len(counts), np.log(sums[rows] / counts[rows] + 1), 1, w=weights)[0])


def upper_half_excess(counts: np.ndarray, sums: np.ndarray) -> float | None:
    """(upper − lower) / (upper + lower) of the mean levels in both halves of the rows; None where a half is empty."""
    half = len(counts) // 2
    if not counts[:half].sum() or not counts[half:].sum():
        return None
    upper, lower = sums[:half].sum() / counts[:half].sum(), sums[half:].sum() / counts[half:].sum()
    return float((upper - lower) / (upper + lower)) if upper + lower else None
