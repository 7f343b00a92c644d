"""From scores of images to scores of a set: means, pooled scores, and their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medt_pipeline.evaluation.image_scores import ImageScores
from medt_pipeline.evaluation.metrics import Case, Counts, add_counts
from medt_pipeline.evaluation.object_metrics import ObjectSums
from medt_pipeline.evaluation.published_protocol import published_f1, published_iou
from medt_pipeline.evaluation.scores import Scores, mean_scores, scores_of_sums
from medt_pipeline.evaluation.statistics import Interval, interval, resampled_means, resampled_sums
from medt_pipeline.evaluation.surface_metrics import SurfaceSums


@dataclass(frozen=True)
class PublishedScores:
    """One class by the protocol of the published scripts, which flatters: see `published_protocol`.

    Attributes:
        f1: mean over images, those without a true positive counting 1.
        iou: the same.
        f1_by_our_rule: mean F1 of the same resized masks, where misses and false alarms count 0.
        images: number of images.
        without_hit: images of each case that have no true positive, and so count 1.
    """

    f1: float
    iou: float
    f1_by_our_rule: float
    images: int
    without_hit: dict[Case, int]


@dataclass(frozen=True)
class ClassScores:
    """One class over all scored images.

    Attributes:
        mean: means over images, each over those where the score is defined.
        mean_interval: 95 % intervals of the means; low and high are `Scores`.
        images: number of images in each mean.
        pooled: scores of the sums over all images; HD95 has none.
        pooled_interval: 95 % intervals of the pooled scores.
        counts: pixels of all images.
        cases: number of images by case; they add up to the number of images.
        published: by the published protocol, None where it was not asked for.
    """

    label: str
    value: int
    mean: Scores
    mean_interval: Interval
    images: Scores
    pooled: Scores
    pooled_interval: Interval
    counts: Counts
    cases: dict[Case, int]
    published: PublishedScores | None = None


class OverClasses(NamedTuple):
    """Plain means over the classes of their means and of their pooled scores, with intervals."""

    mean: Scores
    mean_interval: Interval
    pooled: Scores
    pooled_interval: Interval


def summarise(rows: Sequence[ImageScores], values: dict[str, int]) -> tuple[tuple[ClassScores, ...], OverClasses]:
    """Summary of every class and over the classes.

    Args:
        rows: scores of all images and classes.
        values: label value by name of the class, in the order of the result.
    """
    classes, means, pooled = [], [], []
    for label, value in values.items():
        one, resampled = _summarise_class([row for row in rows if row.label == label], label, value)
        classes.append(one)
        means.append(resampled[0])
        pooled.append(resampled[1])
    return tuple(classes), OverClasses(
        mean_scores(one.mean for one in classes),
        _interval(_mean_of_defined(means)),
        mean_scores(one.pooled for one in classes),
        _interval(_mean_of_defined(pooled)),
    )


def _summarise_class(
    own: list[ImageScores], label: str, value: int
) -> tuple[ClassScores, tuple[np.ndarray, np.ndarray]]:
    """One class, and its resampled means and pooled scores, (resamples, scores) each."""
    table = np.array([row.scores for row in own], float)
    groups = [row.group for row in own]
    means = resampled_means(table, groups)
    pooled = np.stack(np.broadcast_arrays(*_pool(own, lambda sums: resampled_sums(sums, groups))), axis=-1)
    # Where too few groups have the score for an interval of the mean, they are too few for the sums as well.
    pooled = np.where(np.isnan(means).all(0), np.nan, pooled)
    summary = ClassScores(
        label,
        value,
        mean_scores(row.scores for row in own),
        _interval(means),
        Scores(*np.count_nonzero(~np.isnan(table), axis=0).tolist()),
        Scores(*map(float, _pool(own, lambda sums: sums.sum(0)))),
        _interval(pooled),
        add_counts(row.counts for row in own),
        _count_cases(own),
        _summarise_published(own),
    )
    return summary, (means, pooled)


def _pool(own: list[ImageScores], total: Callable[[np.ndarray], np.ndarray]) -> Scores:
    """Scores of what `total` makes of the sums of all images, (images, sums)."""
    surface = objects = None
    counts = Counts(*total(np.array([row.counts for row in own], float)).T)
    if own[0].surface is not None:
        surface = SurfaceSums(*total(np.array([row.surface for row in own], float)).T)
    if own[0].objects is not None:
        objects = ObjectSums(*total(np.array([row.objects for row in own], float)).T)
    return scores_of_sums(counts, surface, objects)


def _interval(resampled: np.ndarray) -> Interval:
    low, high = interval(resampled)
    return Interval(Scores(*low.tolist()), Scores(*high.tolist()))


def _mean_of_defined(of_classes: list[np.ndarray]) -> np.ndarray:
    stacked = np.array(of_classes)
    defined = ~np.isnan(stacked)
    counts = defined.sum(0)
    sums = np.where(defined, stacked, 0.0).sum(0)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def _count_cases(own: Sequence[ImageScores]) -> dict[Case, int]:
    cases: dict[Case, int] = {"both": 0, "neither": 0, "false alarm": 0, "miss": 0}
    for row in own:
        cases[row.case] += 1
    return cases


def _summarise_published(own: list[ImageScores]) -> PublishedScores | None:
    counts = [row.published for row in own if row.published is not None]
    if not counts:
        return None
    return PublishedScores(
        float(np.mean([published_f1(one) for one in counts])),
        float(np.mean([published_iou(one) for one in counts])),
        mean_scores(scores_of_sums(one) for one in counts).dice,
        len(counts),
        _count_cases([row for row in own if row.published is not None and not row.published.tp]),
    )
