"""The ultrasound images of a data set: sector, gain and depth over all cases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from medt_pipeline.fingerprint.spread import median_of, share_of
from medt_pipeline.fingerprint.ultrasound import UltrasoundFacts


@dataclass(frozen=True)
class UltrasoundSummary:
    """Gray images with a sector, which need not be ultrasound; shares are of these cases, 0 to 1.

    Medians of what a case may lack are over the cases that have it; None where no case has.

    Attributes:
        cases: gray images with a sector.
        sector_share: median share of the image within the sector.
        fan_share: share of the cases whose sector is a fan.
        marks_case_share: share of the cases with burned-in texts, calipers or coloured marks.
        speckle_snr: median.
        gain: median of the mean level in the sector, 0 to 1.
        gain_std: standard deviation of it over the cases.
        depth_slope: median slope of the logarithmic brightness over depth, in 1 / image height.
        darker_with_depth_share: share of the cases where the slope is negative.
        upper_half_excess: median, −1 to 1.
        upper_brighter_share: share of the cases whose upper half is brighter.
    """

    cases: int
    sector_share: float
    fan_share: float
    marks_case_share: float
    speckle_snr: float | None
    gain: float | None
    gain_std: float | None
    depth_slope: float | None
    darker_with_depth_share: float
    upper_half_excess: float | None
    upper_brighter_share: float


def summarise_ultrasound(cases: Iterable[UltrasoundFacts]) -> UltrasoundSummary | None:
    """Summary of the cases with a sector; None where there is none."""
    every = [one for one in cases if one.sector_share > 0]
    if not every:
        return None
    gains = [one.gain for one in every if one.gain is not None]
    slopes = [one.depth_slope for one in every if one.depth_slope is not None]
    excess = [one.upper_half_excess for one in every if one.upper_half_excess is not None]
    return UltrasoundSummary(
        len(every),
        float(np.median([one.sector_share for one in every])),
        share_of(one.sector_shape == "fan" for one in every),
        share_of(one.has_marks for one in every),
        median_of(one.speckle_snr for one in every),
        median_of(gains),
        float(np.std(gains)) if gains else None,
        median_of(slopes),
        share_of(slope < 0 for slope in slopes),
        median_of(excess),
        share_of(value > 0 for value in excess),
    )
