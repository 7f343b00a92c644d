"""The facts of all cases in one record: what the planner's rules read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medt_pipeline.core.near_duplicates import SimilarPair
from medt_pipeline.fingerprint.case_facts import CaseFacts, MeasuredCase
from medt_pipeline.fingerprint.plain import to_plain
from medt_pipeline.fingerprint.set_groups import GroupSummary, summarise_groups
from medt_pipeline.fingerprint.set_images import (
    ChannelSummary,
    PixelSizeSummary,
    SizeCount,
    count_bit_depths,
    count_sizes,
    summarise_channels,
    summarise_pixel_size,
)
from medt_pipeline.fingerprint.set_objects import ClassSummary, class_imbalance, summarise_classes
from medt_pipeline.fingerprint.set_stain import StainSummary, summarise_stain
from medt_pipeline.fingerprint.set_ultrasound import UltrasoundSummary, summarise_ultrasound
from medt_pipeline.fingerprint.spread import Spread, median_of, share_of, spread_of


@dataclass(frozen=True)
class Problem:
    """A case that was left out, and a sentence that tells why."""

    case: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """Facts about a data set; shares are 0 to 1.

    Attributes:
        cases: cases that were measured.
        problems: those that were left out.
        channels: of every image.
        gray_case_share: share of the cases that are gray, as one channel or as three equal ones.
        constant_case_share: share of the cases whose pixels are all the same.
        bordered_case_share: share of the cases with a border without content on any side.
        border_level: median level of these borders, 0 (black) to 1 (white); None without any.
        saturated_low_share: median share of values at the lower end of the scale.
        saturated_high_share: the same at the upper end.
        bit_depths: cases by bit depth, "float" for other than whole numbers.
        sizes: most frequent first.
        intensity: by channel.
        pixel_size: None where no case tells it.
        empty_masks: number of cases whose mask is empty.
        background_share: share of all pixels of the set without any class.
        classes: by label value.
        class_imbalance: share of pixels of the most frequent class that occurs over that of the least frequent; None
            for fewer than two.
        ultrasound: None where no gray image has a sector.
        stain: None where no image is coloured.
        groups: declared groups, near-duplicates and groups for folds.
        numbers: spread over the cases of every numeric fact, by its path in the facts of a case, such as
            "ultrasound.gain"; cases without it do not count, and a fact that no case has is missing.
        flags: share of cases where a fact that is true or false is true, by its path.
    """

    cases: int
    problems: list[Problem]
    channels: int
    gray_case_share: float
    constant_case_share: float
    bordered_case_share: float
    border_level: float | None
    saturated_low_share: float
    saturated_high_share: float
    bit_depths: dict[str, int]
    sizes: list[SizeCount]
    intensity: list[ChannelSummary]
    pixel_size: PixelSizeSummary | None
    empty_masks: int
    background_share: float
    classes: dict[str, ClassSummary]
    class_imbalance: float | None
    ultrasound: UltrasoundSummary | None
    stain: StainSummary | None
    groups: GroupSummary
    numbers: dict[str, Spread]
    flags: dict[str, float]


def summarise(
    cases: Mapping[str, MeasuredCase],
    classes: Mapping[int, str],
    pairs: Sequence[SimilarPair],
    problems: Sequence[Problem],
) -> Summary:
    """Summary of at least one case.

    Args:
        cases: with their groups set.
        classes: name by label value.
        pairs: near-duplicates among the cases.
        problems: cases that were left out.
    """
    facts = {name: case.facts for name, case in cases.items()}
    every = list(facts.values())
    sizes = [one.size for one in every]
    class_summaries = summarise_classes(list(cases.values()), classes)
    numbers, flags = spread_of_all(every)
    return Summary(
        cases=len(every),
        problems=list(problems),
        channels=sizes[0].channels,
        gray_case_share=share_of(size.is_gray for size in sizes),
        constant_case_share=share_of(size.is_constant for size in sizes),
        bordered_case_share=share_of(size.border_level is not None for size in sizes),
        border_level=median_of(size.border_level for size in sizes),
        saturated_low_share=float(np.median([size.saturated_low_share for size in sizes])),
        saturated_high_share=float(np.median([size.saturated_high_share for size in sizes])),
        bit_depths=count_bit_depths(sizes),
        sizes=count_sizes(sizes),
        intensity=summarise_channels([one.intensity for one in every]),
        pixel_size=summarise_pixel_size(one.pixel_size for one in every),
        empty_masks=sum(one.mask_is_empty for one in every),
        background_share=1 - sum(one.pixel_share for one in class_summaries.values()),
        classes=class_summaries,
        class_imbalance=class_imbalance(class_summaries),
        ultrasound=summarise_ultrasound(one.ultrasound for one in every if one.ultrasound is not None),
        stain=summarise_stain({name: one.stain for name, one in facts.items() if one.stain is not None}),
        groups=summarise_groups(cases, pairs),
        numbers=numbers,
        flags=flags,
    )


def spread_of_all(cases: Iterable[CaseFacts]) -> tuple[dict[str, Spread], dict[str, float]]:
    """Spread of every number and share of every true or false in the facts, by path ("objects.1.count")."""
    values: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        for path, value in numbers_in(to_plain(case)):
            values[path].append(value)
    flags = {path: share_of(bool(one) for one in found) for path, found in values.items() if isinstance(found[0], bool)}
    return {path: spread_of(found) for path, found in values.items() if path not in flags}, flags


def numbers_in(content: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Paths ("size.height_px") and values of the numbers, true and false in `content`, which is plain."""
    if isinstance(content, (dict, list)):
        parts = content.items() if isinstance(content, dict) else enumerate(content)
        for key, part in parts:
            yield from numbers_in(part, f"{path}.{key}" if path else str(key))
    elif isinstance(content, (bool, int, float)):
        yield path, content
