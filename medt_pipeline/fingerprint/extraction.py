"""The fingerprints of a raw data set, nnU-Net's and our own, without a pool of worker processes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from medt_pipeline.core.cluster import Cluster, map_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.progress import progress
from medt_pipeline.fingerprint.case_facts import Beside, MeasuredCase, measure_case
from medt_pipeline.fingerprint.medt_fingerprint import Fingerprint
from medt_pipeline.fingerprint.set_groups import group_cases
from medt_pipeline.fingerprint.statistics import (
    IntensityCounts,
    count_intensities,
    nonzero_box_shape,
    summarise_intensities,
)
from medt_pipeline.fingerprint.summary import Problem, summarise

MEMORY_OF_EXAMINING = 1_200_000_000
"""Bytes that a process of a cluster asks for: Python with nnU-Net's readers, and an image of 40 megapixels."""
ReadCase = Callable[[str], "tuple[np.ndarray, np.ndarray, tuple[float, ...]]"]
"""From a case's name to its image (C, 1, H, W), its label map (1, 1, H, W) and its spacing (z, y, x)."""


@dataclass(frozen=True)
class _CaseFacts:
    shape: tuple[int, int]
    box_shape: tuple[int, int]
    spacing: tuple[float, ...]
    foreground: list[IntensityCounts | None]
    everything: list[IntensityCounts | None]  # of all pixels, counted only where there is no foreground


@dataclass(frozen=True)
class Extraction:
    """What was found out about a data set.

    Attributes:
        nnunet: content of nnU-Net's dataset_fingerprint.json, of the cases that could be measured, in their order.
        fingerprint: the same cases' facts of our own.
    """

    nnunet: dict[str, Any]
    fingerprint: Fingerprint

    @property
    def problems(self) -> list[Problem]:
        """The cases that were left out."""
        return self.fingerprint.summary.problems


def extract_fingerprint(
    names: list[str],
    read_case: ReadCase,
    threads: int,
    quiet: bool = False,
    classes: Mapping[int, str] = MappingProxyType({1: "foreground"}),
    beside: Mapping[str, Beside] = MappingProxyType({}),
    cluster: Cluster | None = None,
) -> Extraction:
    """Both fingerprints of 2D cases, each of which is read once.

    The intensity properties of nnU-Net's are exact where its own are sampled (`summarise_intensities`). Cases without
    foreground do not count for them; where no case has any, all pixels of all cases stand in, for which nnU-Net fails.
    A case that cannot be read or measured is left out and named with its reason.

    Args:
        names: the cases.
        read_case: reads one.
        threads: cases read at once; reading and counting leave Python's lock most of the time.
        quiet: show no progress.
        classes: name by label value of the foreground.
        beside: what is known of the cases otherwise; a case may be missing.
        cluster: reads and measures the cases instead of this process.

    Raises:
        UserError: no case can be used, or channels do not fit together.
    """
    work = functools.partial(examine_cases, read_case=read_case, classes=dict(classes), beside=dict(beside))
    steps = map_cases(work, names, threads, cluster, MEMORY_OF_EXAMINING, "Fingerprint")
    found = dict(zip(names, progress(steps, "Fingerprint", len(names), "case", quiet), strict=True))
    problems = [one for one in found.values() if isinstance(one, Problem)]
    good = {name: one for name, one in found.items() if isinstance(one, Examined)}
    if not good:
        raise UserError(f"None of the {len(names)} cases can be used. {problems[0].reason}")
    _require_equal_channels(good)
    measured, pairs = group_cases({name: one.measured for name, one in good.items()})
    summary = summarise(measured, classes, pairs, problems)
    fingerprint = Fingerprint({name: case.facts for name, case in measured.items()}, summary)
    return Extraction(_nnunet_content([one.nnunet for one in good.values()]), fingerprint)


@dataclass(frozen=True)
class Examined:
    """What both fingerprints need of a case."""

    nnunet: _CaseFacts
    measured: MeasuredCase


def examine_cases(
    names: Sequence[str], read_case: ReadCase, classes: Mapping[int, str], beside: Mapping[str, Beside]
) -> list[Examined | Problem]:
    """Read and measure cases, or say what is wrong with one; arguments as for `extract_fingerprint`."""

    def examined(name: str) -> Examined | Problem:
        try:
            return _examine(name, *read_case(name), classes, beside.get(name, Beside()))
        except UserError as error:
            return Problem(name, str(error))

    return [examined(name) for name in names]


def _examine(
    name: str,
    image: np.ndarray,
    labels: np.ndarray,
    spacing: tuple[float, ...],
    classes: Mapping[int, str],
    beside: Beside,
) -> Examined:
    facts = _case_facts(name, image, labels, spacing)
    try:
        measured = measure_case(name, image[:, 0], labels[0, 0], spacing, classes, beside)
    except UserError as error:
        raise UserError(f"Case {name} cannot be used: {error}") from None
    return Examined(facts, measured)


def _nnunet_content(facts: list[_CaseFacts]) -> dict[str, Any]:
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


def _require_equal_channels(cases: Mapping[str, Examined]) -> None:
    counts = {name: len(case.nnunet.foreground) for name, case in cases.items()}
    first = next(iter(counts))
    other = next((name for name in counts if counts[name] != counts[first]), None)
    if other is not None:
        raise UserError(
            f"{first} has {counts[first]} channels but {other} has {counts[other]}; convert all images to one kind."
        )


def _counted(facts: list[_CaseFacts], channel: int) -> list[IntensityCounts]:
    foreground = [case.foreground[channel] for case in facts]
    return [counts for counts in foreground if counts] or [
        counts for case in facts if (counts := case.everything[channel])
    ]
