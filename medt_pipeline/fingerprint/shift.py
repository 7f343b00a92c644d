"""Whether a new image is like those that a model was trained on, by the facts of the fingerprint.

The rule, for each fact of `FACTS` that both have: an image is unlike the training images where its value lies outside
their 1st to 99th percentile *and* more than `MOST_DEVIATIONS` robust standard deviations from their median. The first
alone would flag a fiftieth of the training images for each fact, the second alone long tails that the training covers.
A kind (gray or coloured) that no training image has is unlike too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from medt_pipeline.fingerprint.case_facts import CaseFacts, ImageFacts
from medt_pipeline.fingerprint.plain import to_plain
from medt_pipeline.fingerprint.spread import share_of
from medt_pipeline.fingerprint.summary import numbers_in

MOST_DEVIATIONS = 4.0
"""Robust standard deviations (1.4826 times the median absolute deviation) up to which an image is like the others."""
FEWEST_CASES = 5
"""Of training that have a fact, from which on images are compared by it."""
RULE = (
    "outside the 1st to 99th percentile of the training images and more than "
    f"{MOST_DEVIATIONS:g} robust standard deviations from their median"
)
_OF_NORMAL = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""
_PERCENTILES = (1, 50, 99)


@dataclass(frozen=True)
class Fact:
    """A number by which images are compared.

    Attributes:
        title: for people.
        least: deviation that is assumed where the training images vary less.
        as_ratio: compare logarithms; then `least` is a relative deviation.
    """

    title: str
    least: float
    as_ratio: bool = False


FACTS = {
    "size.height_px": Fact("height in pixels", 0.1, True),
    "size.width_px": Fact("width in pixels", 0.1, True),
    "pixel_size.y_um": Fact("height of a pixel in µm", 0.05, True),
    "pixel_size.x_um": Fact("width of a pixel in µm", 0.05, True),
    "size.coloured_share": Fact("share of coloured pixels", 0.05),
    "size.saturated_low_share": Fact("share of values at the lower end", 0.02),
    "size.saturated_high_share": Fact("share of values at the upper end", 0.02),
    **{f"intensity.{channel}.mean": Fact(f"brightness of channel {channel + 1}", 0.02) for channel in range(3)},
    **{f"intensity.{channel}.std": Fact(f"contrast of channel {channel + 1}", 0.01) for channel in range(3)},
    "stain.background_level": Fact("level of the empty slide", 0.02),
    "stain.haematoxylin_reference_angle_deg": Fact("angle to haematoxylin in degrees", 2.0),
    "stain.eosin_reference_angle_deg": Fact("angle to eosin in degrees", 2.0),
    "stain.haematoxylin_p99": Fact("strength of haematoxylin", 0.05),
    "stain.eosin_p99": Fact("strength of eosin", 0.05),
    "ultrasound.gain": Fact("gain in the sector", 0.02),
    "ultrasound.speckle_snr": Fact("speckle's mean over deviation", 0.1, True),
    "ultrasound.depth_slope": Fact("darkening with depth", 0.1),
}
"""By its path in the facts of a case."""


@dataclass(frozen=True)
class Range:
    """A fact over the training images, as logarithm where the fact is compared so.

    Attributes:
        cases: that have it.
        p01: first percentile.
        median: fiftieth.
        p99: ninety-ninth.
        deviation: robust standard deviation, not less than the fact's `least`.
    """

    cases: int
    p01: float
    median: float
    p99: float
    deviation: float


@dataclass(frozen=True)
class TrainingImages:
    """What is kept of a training set to compare new images with; nothing in it names a case.

    Attributes:
        cases: training images.
        gray_share: share of them that are gray, 0 to 1.
        ranges: by the path of the fact.
    """

    cases: int
    gray_share: float
    ranges: dict[str, Range]


def training_images(cases: Iterable[CaseFacts | ImageFacts]) -> TrainingImages:
    """What to keep of the facts of training cases."""
    every = list(cases)
    values: dict[str, list[float]] = defaultdict(list)
    for case in every:
        for path, value in _numbers(case).items():
            values[path].append(value)
    ranges = {path: _range_of(np.array(values[path]), FACTS[path].least) for path in FACTS if path in values}
    return TrainingImages(len(every), share_of(one.size.is_gray for one in every), ranges)


def unlike(image: ImageFacts | CaseFacts, training: TrainingImages) -> list[str]:
    """In what an image is unlike the training images, a phrase each; empty where it is like them."""
    found = []
    if training.cases >= FEWEST_CASES and training.gray_share in (0.0, 1.0):
        kinds = {True: "gray", False: "coloured"}
        if image.size.is_gray != bool(training.gray_share):
            found.append(f"it is {kinds[image.size.is_gray]}, all training images are {kinds[not image.size.is_gray]}")
    for path, value in _numbers(image).items():
        known = training.ranges.get(path)
        if known is None or known.cases < FEWEST_CASES or known.p01 <= value <= known.p99:
            continue
        if abs(value - known.median) > MOST_DEVIATIONS * known.deviation:
            low, high, own = (_shown(path, one) for one in (known.p01, known.p99, value))
            found.append(f"{FACTS[path].title} is {own}, in training {low} to {high}")
    return found


def _numbers(facts: ImageFacts | CaseFacts) -> dict[str, float]:
    """The facts of `FACTS` that an image has, in their order, as they are compared."""
    found = dict(numbers_in(to_plain(facts)))
    return {path: _compared(fact, found[path]) for path, fact in FACTS.items() if path in found}


def _compared(fact: Fact, value: float) -> float:
    return math.log(max(value, 1e-6)) if fact.as_ratio else value


def _shown(path: str, value: float) -> str:
    return f"{math.exp(value) if FACTS[path].as_ratio else value:.3g}"


def _range_of(values: np.ndarray, least: float) -> Range:
    p01, median, p99 = (float(value) for value in np.percentile(values, _PERCENTILES))
    deviation = _OF_NORMAL * float(np.median(np.abs(values - median)))
    return Range(len(values), p01, median, p99, max(deviation, least))
