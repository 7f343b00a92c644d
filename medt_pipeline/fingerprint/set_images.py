"""How the images of a data set are stored and how bright they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.fingerprint.intensity import IntensityFacts
from medt_pipeline.fingerprint.sizes import SizeFacts

SAME_PIXEL_SIZE = 0.05
"""Relative difference up to which two pixel sizes are the same."""


@dataclass(frozen=True)
class SizeCount:
    """A size in pixels and the number of cases that have it."""

    height_px: int
    width_px: int
    cases: int


@dataclass(frozen=True)
class ChannelSummary:
    """Levels of one channel over the cases, on the scale 0 to 1.

    Attributes:
        mean: median over the cases of their means.
        std: median over the cases of their standard deviations.
        std_of_means: how far the cases differ in brightness: standard deviation of their means.
        p01: median over the cases of their first percentiles.
        p99: the same of the ninety-ninth.
    """

    mean: float
    std: float
    std_of_means: float
    p01: float
    p99: float


@dataclass(frozen=True)
class PixelSizeSummary:
    """Pixel size over the cases where it is known.

    Attributes:
        known_cases: cases where it is.
        y_um: median height of a pixel in micrometres.
        x_um: median width.
        differs: some are more than `SAME_PIXEL_SIZE` away from the median.
        sources: cases by what told it.
    """

    known_cases: int
    y_um: float
    x_um: float
    differs: bool
    sources: dict[str, int]


def count_sizes(sizes: Iterable[SizeFacts]) -> list[SizeCount]:
    """Sizes that occur, the most frequent first."""
    counts = Counter((size.height_px, size.width_px) for size in sizes)
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [SizeCount(height, width, cases) for (height, width), cases in ordered]


def count_bit_depths(sizes: Iterable[SizeFacts]) -> dict[str, int]:
    """Cases by bit depth, the most frequent first; "float" for other than whole numbers."""
    return dict(Counter(str(size.bit_depth or "float") for size in sizes).most_common())


def summarise_channels(cases: Sequence[Sequence[IntensityFacts]]) -> list[ChannelSummary]:
    """Summary by channel of the channels of at least one case."""
    return [_summarise_channel(channel) for channel in zip(*cases, strict=True)]


def summarise_pixel_size(sizes: Iterable[PixelSize | None]) -> PixelSizeSummary | None:
    """Summary of the cases where it is known; None where it is known nowhere."""
    known = [size for size in sizes if size is not None]
    if not known:
        return None
    values = np.array([(size.y_um, size.x_um) for size in known])
    medians = np.median(values, axis=0)
    differs = bool((np.abs(values / medians - 1) > SAME_PIXEL_SIZE).any())
    sources = dict(Counter(size.source for size in known).most_common())
    return PixelSizeSummary(len(known), float(medians[0]), float(medians[1]), differs, sources)


def _summarise_channel(cases: Sequence[IntensityFacts]) -> ChannelSummary:
    means = [one.mean for one in cases]
    return ChannelSummary(
        float(np.median(means)),
        float(np.median([one.std for one in cases])),
        float(np.std(means)),
        float(np.median([one.p01 for one in cases])),
        float(np.median([one.p99 for one in cases])),
    )
