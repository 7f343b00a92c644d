"""What the contest found: a table, and a page with learning curves and scores by number of training images."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from medt_pipeline.evaluation.statistics import interval, paired_difference, resampled_means
from medt_pipeline.report.charts import LINES, Chart, draw_chart
from tests.benchmarks.contest_splits import ALL

HEADER = (
    "| data set | budget | variant | images | seeds | steps | Dice (95 %) | IoU | Dice less the first's (95 %) |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
HEADER_OF_EMPTY_IMAGES = (
    "| data set | budget | variant | images with foreground | Dice there (95 %) | less the first's (95 %) "
    "| images without | false alarms | the first's |\n|---|---|---|---|---|---|---|---|---|"
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


def table_of_empty_images(variants: Mapping[str, Any], results: Sequence[Result]) -> str:
    """Markdown: Dice on images with foreground, and the share of false alarms on those without; "" where all have some.

    In `table` an image without foreground counts 0 where a mask shows any and is left out where it shows none, so that
    two variants' means may be of different images. Here they are of the same.
    """
    lines = [HEADER_OF_EMPTY_IMAGES]
    for (name, budget), here in _blocks(results):
        if not _false_alarms(here):
            continue
        first: tuple[dict[str, np.ndarray], dict[str, float]] | None = None
        for variant, runs in _by_variant(variants, here):
            (scores, groups), alarms = _by_image(runs), _false_alarms(runs)
            shown = {image: values for image, values in scores.items() if image not in alarms}
            gap = of_first = ""
            if first is not None:
                gap = _gap(shown, first[0], groups)
                of_first = _share(first[1][image] for image in alarms if image in first[1])
            found = f"{len(shown)} | {_mean(shown, groups)} | {gap} | {len(alarms)} | {_share(alarms.values())}"
            lines.append(f"| {name} | {budget} | {variant} | {found} | {of_first} |")
            first = first or (shown, alarms)
    return "\n".join(lines) if len(lines) > 1 else ""


def page(title: str, found: Mapping[str, Chart]) -> str:
    """HTML with what `charts` found."""
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"]
    parts.append(f"<h1>{html.escape(title)}</h1>")
    for heading, chart in found.items():
        parts += [f"<h2>{html.escape(heading)}</h2>", _picture(chart)]
    return "\n".join(parts) + "</html>\n"


def charts(variants: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Chart]:
    """By heading, learning curves for each data set and budget, and scores by training images where there are any."""
    found = {}
    for (name, budget), here in _blocks(results):
        found[f"{name}, {budget}"] = _learning_curves(list(_by_variant(variants, here)))
    for dataset, budget in dict.fromkeys((one["dataset"], one["budget"]) for one in results):
        here = [one for one in results if (one["dataset"], one["budget"]) == (dataset, budget)]
        points = _by_count(variants, here)
        if points:
            found[f"{dataset} by training images, {budget}"] = _by_training_images(points)
    return found


def svg_files(found: Mapping[str, Chart]) -> dict[str, str]:
    """By name of a file, the charts for a light page and, "_dark", for a dark one."""
    files = {}
    for heading, chart in found.items():
        name = re.sub(r"\W+", "_", heading)
        for ending, uri in (("", chart.light), ("_dark", chart.dark)):
            files[f"{name}{ending}.svg"] = base64.b64decode(uri.partition(",")[2]).decode()
    return files


def shortened(curve: Sequence[float]) -> list[float]:
    """At most `MOST_POINTS` of a curve, evenly spread, the last among them."""
    chosen = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), MOST_POINTS)).round().astype(int))
    return [round(float(curve[index]), 5) for index in chosen]


def _blocks(results: Sequence[Result]) -> Iterator[tuple[tuple[str, str], list[Result]]]:
    """Results that can be compared, under the name of their data set, with what was trained on, and their budget."""

    def key(one: Result) -> tuple[str, str]:
        training = one.get("training", ALL)
        return one["dataset"] + ("" if training == ALL else f", {training}"), one["budget"]

    for block in dict.fromkeys(map(key, results)):
        yield block, [one for one in results if key(one) == block]


def _by_variant(variants: Mapping[str, Any], results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    for variant in variants:
        runs = [one for one in results if one["variant"] == variant]
        if runs:
            yield variant, runs


def _by_count(variants: Mapping[str, Any], results: Sequence[Result]) -> dict[str, dict[int, list[Result]]]:
    """By variant and number of training images, the runs of the folds and seeds that all of them have.

    Variants that were trained on one number of images alone are left out. Where folds differ a little in size, the
    number is their mean.
    """
    points: dict[str, dict[str, list[Result]]] = {}
    for variant, runs in _by_variant(variants, results):
        by_training: dict[str, list[Result]] = {}
        for run in runs:
            training = run.get("training", ALL)
            if "train_images" in run and (training == ALL or re.fullmatch(r"\d+ images", training)):
                by_training.setdefault(training, []).append(run)
        if len(by_training) > 1:
            points[variant] = by_training
    having = [{(run["fold"], run["seed"]) for run in runs} for of in points.values() for runs in of.values()]
    shared = set.intersection(*having) if having else set()
    if not shared:
        return {}
    kept = {
        variant: [[run for run in runs if (run["fold"], run["seed"]) in shared] for runs in of.values()]
        for variant, of in points.items()
    }
    return {
        variant: {round(np.mean([run["train_images"] for run in runs])): runs for runs in of}
        for variant, of in kept.items()
    }


def _learning_curves(by_variant: Sequence[tuple[str, Sequence[Result]]]) -> Chart:
    def draw(axes: Axes) -> None:
        for index, (variant, runs) in enumerate(by_variant):
            for run in (one for one in runs if one.get("curve")):
                steps = np.linspace(0, run["steps"], len(run["curve"]) + 1)[1:]
                axes.plot(steps, run["curve"], color=LINES[index % len(LINES)], lw=1.2, alpha=0.8)
            axes.plot([], [], color=LINES[index % len(LINES)], label=variant)
        axes.set(xlabel="training steps", ylabel="pseudo Dice, moving average", ylim=(0, 1))

    return draw_chart(draw, "Pseudo Dice over training steps, a line for each run.", legend=True)


def _by_training_images(points: Mapping[str, Mapping[int, Sequence[Result]]]) -> Chart:
    def draw(axes: Axes) -> None:
        for index, (variant, by_count) in enumerate(points.items()):
            numbers = sorted(by_count)
            scores = [_by_image(by_count[number])[0].values() for number in numbers]
            means = [np.nanmean([values[0] for values in of]) for of in scores]
            axes.plot(numbers, means, "o-", color=LINES[index % len(LINES)], lw=1.4, ms=4, label=variant)
        axes.set(xlabel="training images", ylabel="mean Dice on held-out images", xscale="log")
        every = sorted({number for by_count in points.values() for number in by_count})
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
    iou = np.nanmean([values[1] for values in scores.values()])
    difference = "" if first is None else _gap(scores, first, groups)
    seeds, steps = len({one["seed"] for one in runs}), round(float(np.mean([one["steps"] for one in runs])))
    return f"{len(scores)} | {seeds} | {steps} | {_mean(scores, groups)} | {iou:.3f} | {difference}"


def _mean(scores: Mapping[str, np.ndarray], groups: Mapping[str, str]) -> str:
    """Mean Dice with its interval."""
    dice = np.array([values[0] for values in scores.values()], float)
    around = interval(resampled_means(dice[:, None], [groups[image] for image in scores])[:, 0])
    return f"{np.nanmean(dice):.3f} ({around.low:.3f}–{around.high:.3f})"


def _gap(scores: Mapping[str, np.ndarray], first: Mapping[str, np.ndarray], groups: Mapping[str, str]) -> str:
    """Difference of the mean Dice on the images that both have, with its interval."""
    shared = [image for image in scores if image in first]
    own, other = (np.array([of[image][0] for image in shared], float) for of in (scores, first))
    gap = paired_difference(own, other, [groups[image] for image in shared])
    return f"{gap.value:+.3f} ({gap.interval.low:+.3f} to {gap.interval.high:+.3f})"


def _share(values: Iterable[float]) -> str:
    found = list(values)
    return f"{np.mean(found):.2f}" if found else ""


def _false_alarms(runs: Sequence[Result]) -> dict[str, float]:
    """Of each image without foreground, the share of runs that show some there."""
    found: dict[str, list[bool]] = {}
    for run in runs:
        for one in run["images"]:
            if not one["foreground"]:
                # Where the mask is empty too, there is no Dice.
                found.setdefault(one["image"], []).append(one["dice"] is not None)
    return {image: float(np.mean(alarms)) for image, alarms in found.items()}


def _by_image(runs: Sequence[Result]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Dice and IoU of each image in the mean over seeds, NaN where undefined, and its patient."""
    found: dict[str, list[list[float | None]]] = {}
    groups = {}
    for run in runs:
        for one in run["images"]:
            found.setdefault(one["image"], []).append([one["dice"], one["iou"]])
            groups[one["image"]] = one["group"]
    return {image: np.array(values, float).mean(0) for image, values in sorted(found.items())}, groups
