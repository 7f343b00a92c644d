"""The fingerprint of a raw data set, in nnU-Net's format, without a pool of worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.progress import progress
from medt_pipeline.fingerprint.statistics import (
    IntensityCounts,
    count_intensities,
    nonzero_box_shape,
    summarise_intensities,
)

ReadCase = Callable[[str], "tuple[np.ndarray, np.ndarray, tuple[float, ...]]"]
"""From a case's name to its image (C, 1, H, W), its label map (1, 1, H, W) and its spacing (z, y, x)."""


@dataclass(frozen=True)
class _CaseFacts:
    shape: tuple[int, int]
    box_shape: tuple[int, int]
    spacing: tuple[float, ...]
    foreground: list[IntensityCounts | None]
    everything: list[IntensityCounts | None]  # of all pixels, counted only where there is no foreground


def extract_fingerprint(names: list[str], read_case: ReadCase, threads: int, quiet: bool = False) -> Mapping:
    """Content of nnU-Net's dataset_fingerprint.json for 2D cases.

    The intensity properties are exact where nnU-Net's are sampled (`summarise_intensities`). Cases without foreground
    do not count for them; where no case has any, all pixels of all cases stand in, for which nnU-Net fails.

    Args:
        names: the cases.
        read_case: reads one.
        threads: cases read at once; reading and counting leave Python's lock most of the time.
        quiet: show no progress.

    Raises:
        UserError: sizes or channels do not fit together, or `read_case` says so.
    """
    with ThreadPoolExecutor(threads) as pool:
        facts = list(
            progress(
                pool.map(lambda name: _case_facts(name, *read_case(name)), names),
                "Fingerprint",
                total=len(names),
                unit="case",
                quiet=quiet,
            )
        )
    _require_equal_channels(names, facts)
    channels = len(facts[0].foreground)
    areas = [np.prod(case.box_shape) / np.prod(case.shape) for case in facts]
    return {
        "spacings": [list(case.spacing) for case in facts],
        "shapes_after_crop": [[1, *case.box_shape] for case in facts],
        "foreground_intensity_properties_per_channel": {
            str(channel): summarise_intensities(_counted(facts, channel)) for channel in range(channels)
        },
        "median_relative_size_after_cropping": float(np.median(areas)),
    }


def _case_facts(name: str, image: np.ndarray, labels: np.ndarray, spacing: tuple[float, ...]) -> _CaseFacts:
    if image.ndim != 4 or image.shape[1] != 1:
        raise UserError(f"{name} is not a 2D image (shape {image.shape}); this pipeline segments 2D images only.")
    if image.shape[1:] != labels.shape[1:]:
        raise UserError(
            f"The image of {name} is {image.shape[2]} × {image.shape[3]} pixels but its label map "
            f"{labels.shape[2]} × {labels.shape[3]}; they must be equal."
        )
    rng = np.random.default_rng(1234)
    foreground = labels[0] > 0
    empty = not foreground.any()
    return _CaseFacts(
        (image.shape[2], image.shape[3]),
        nonzero_box_shape(image[:, 0]),
        tuple(float(value) for value in spacing),
        [count_intensities(channel[foreground], rng) for channel in image],
        [count_intensities(channel, rng) if empty else None for channel in image],
    )


def _require_equal_channels(names: list[str], facts: list[_CaseFacts]) -> None:
    counts = {name: len(case.foreground) for name, case in zip(names, facts, strict=True)}
    if len(set(counts.values())) > 1:
        first, other = names[0], next(name for name in names if counts[name] != counts[names[0]])
        raise UserError(
            f"{first} has {counts[first]} channels but {other} has {counts[other]}; convert all images to one kind."
        )


def _counted(facts: list[_CaseFacts], channel: int) -> list[IntensityCounts]:
    foreground = [case.foreground[channel] for case in facts]
    return [counts for counts in foreground if counts] or [
        counts for case in facts if (counts := case.everything[channel])
    ]
