"""What the contest found: a table, and a page with learning curves and scores by number of training images."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from medt_pipeline.evaluation.statistics import interval, paired_difference, resampled_means
from medt_pipeline.report.charts import LINES, Chart, draw_chart

HEADER = (
    "| data set | budget | variant | images | seeds | steps | Dice (95 %) | IoU | Dice less the first's (95 %) |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
MOST_POINTS = 40
"""Of a learning curve that is kept."""

Result = Mapping[str, Any]


def table(variants: Mapping[str, Any], results: Sequence[Result]) -> str:
    """Markdown: by data set and variant mean Dice and IoU over images with intervals over patients, and differences.

    Scores of several seeds are averaged image by image first. Differences are to the first variant, on the images that
    both have.
    """
    lines = [HEADER]
    for (name, budget), here in _blocks(results):
        first: dict[str, np.ndarray] | None = None
        for variant, runs in _by_variant(variants, here):
            scores, groups = _by_image(runs)
            lines.append(f"| {name} | {budget} | {variant} | {_cells(runs, scores, groups, first)} |")
            first = first or scores
    return "\n".join(lines)


def page(title: str, variants: Mapping[str, Any], results: Sequence[Result]) -> str:
    """HTML with a chart of learning curves for each data set and budget, and one of scores by training images."""
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"]
    parts.append(f"<h1>{html.escape(title)}</h1>")
    for (name, budget), here in _blocks(results):
        chart = _learning_curves(list(_by_variant(variants, here)))
        parts += [f"<h2>{html.escape(f'{name}, {budget}')}</h2>", _picture(chart)]
    for dataset, budget in dict.fromkeys((one["dataset"], one["budget"]) for one in results):
        here = [one for one in results if (one["dataset"], one["budget"]) == (dataset, budget)]
        numbers = sorted({one["train_images"] for one in here if _counts_images(one)})
        if len(numbers) > 1:
            chart = _by_training_images(list(_by_variant(variants, here)))
            parts += [f"<h2>{html.escape(f'{dataset} by training images, {budget}')}</h2>", _picture(chart)]
    return "\n".join(parts) + "</html>\n"


def shortened(curve: Sequence[float]) -> list[float]:
    """At most `MOST_POINTS` of a curve, evenly spread, the last among them."""
    chosen = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), MOST_POINTS)).round().astype(int))
    return [round(float(curve[index]), 5) for index in chosen]


def _blocks(results: Sequence[Result]) -> Iterator[tuple[tuple[str, str], list[Result]]]:
    """Results that can be compared, under the name of their data set, with what was trained on, and their budget."""

    def key(one: Result) -> tuple[str, str]:
        training = one.get("training", "all")
        return one["dataset"] + ("" if training == "all" else f", {training}"), one["budget"]

    for block in dict.fromkeys(map(key, results)):
        yield block, [one for one in results if key(one) == block]


def _by_variant(variants: Mapping[str, Any], results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    for variant in variants:
        runs = [one for one in results if one["variant"] == variant]
        if runs:
            yield variant, runs


def _counts_images(one: Result) -> bool:
    training = one.get("training", "all")
    return "train_images" in one and (training == "all" or re.fullmatch(r"\d+ images", training) is not None)


def _learning_curves(by_variant: Sequence[tuple[str, Sequence[Result]]]) -> Chart:
    def draw(axes: Axes) -> None:
        for index, (variant, runs) in enumerate(by_variant):
            for run in (one for one in runs if one.get("curve")):
                steps = np.linspace(0, run["steps"], len(run["curve"]) + 1)[1:]
                axes.plot(steps, run["curve"], color=LINES[index % len(LINES)], lw=1.2, alpha=0.8)
            axes.plot([], [], color=LINES[index % len(LINES)], label=variant)
        axes.set(xlabel="training steps", ylabel="pseudo Dice, moving average", ylim=(0, 1))

    return draw_chart(draw, "Pseudo Dice over training steps, a line for each run.", legend=True)


def _by_training_images(by_variant: Sequence[tuple[str, Sequence[Result]]]) -> Chart:
    def draw(axes: Axes) -> None:
        for index, (variant, runs) in enumerate(by_variant):
            counted = [one for one in runs if _counts_images(one)]
            numbers = sorted({one["train_images"] for one in counted})
            means = []
            for number in numbers:
                scores, _ = _by_image([one for one in counted if one["train_images"] == number])
                means.append(np.nanmean([values[0] for values in scores.values()]))
            axes.plot(numbers, means, "o-", color=LINES[index % len(LINES)], lw=1.4, ms=4, label=variant)
        axes.set(xlabel="training images", ylabel="mean Dice on held-out images", xscale="log")
        every = sorted({one["train_images"] for _, runs in by_variant for one in runs if _counts_images(one)})
        axes.set_xticks(every, [str(number) for number in every])
        axes.xaxis.set_minor_formatter(NullFormatter())

    return draw_chart(draw, "Mean Dice on held-out images by number of training images.", legend=True)


def _picture(chart: Chart) -> str:
    return f'<img src="{chart.light}" width="{chart.width}" height="{chart.height}" alt="{html.escape(chart.alt)}">'


def _cells(
    runs: Sequence[Result],
    scores: dict[str, np.ndarray],
    groups: dict[str, str],
    first: dict[str, np.ndarray] | None,
) -> str:
    """From the number of images to the difference."""
    values = np.array(list(scores.values()), float)
    around = interval(resampled_means(values, [groups[image] for image in scores])[:, 0])
    dice, iou = np.nanmean(values, axis=0)
    difference = ""
    if first is not None:
        shared = [image for image in scores if image in first]
        own, other = (np.array([of[image][0] for image in shared], float) for of in (scores, first))
        gap = paired_difference(own, other, [groups[image] for image in shared])
        difference = f"{gap.value:+.3f} ({gap.interval.low:+.3f} to {gap.interval.high:+.3f})"
    seeds, steps = len({one["seed"] for one in runs}), round(float(np.mean([one["steps"] for one in runs])))
    found = f"{dice:.3f} ({around.low:.3f}–{around.high:.3f}) | {iou:.3f}"
    return f"{len(scores)} | {seeds} | {steps} | {found} | {difference}"


def _by_image(runs: Sequence[Result]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Dice and IoU of each image in the mean over seeds, NaN where undefined, and its patient."""
    found: dict[str, list[list[float | None]]] = {}
    groups = {}
    for run in runs:
        for one in run["images"]:
            found.setdefault(one["image"], []).append([one["dice"], one["iou"]])
            groups[one["image"]] = one["group"]
    return {image: np.array(values, float).mean(0) for image, values in sorted(found.items())}, groups
