"""The parts of a data set's page, from what was found on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from medt_pipeline.report.cases import Case
from medt_pipeline.report.charts import curve_charts, dice_chart, quality_chart, ranking_chart
from medt_pipeline.report.folds import TrainedFold
from medt_pipeline.report.formats import UNDEFINED, digits
from medt_pipeline.report.published import published_figures
from medt_pipeline.report.ranking import Selection
from medt_pipeline.report.score_table import ScoreTable

PACKAGES = ("medt_pipeline", "nnunetv2", "torch", "numpy", "numba")


def tiles(table: ScoreTable | None, model: str) -> list[tuple[str, str]]:
    """The few numbers that a reader wants first."""
    found = [("Model", model)]
    if table is not None:
        for title, one in (("Mean Dice", table.dice), ("Mean IoU", table.iou)):
            between = f" ({digits(one.low, 3)}–{digits(one.high, 3)})" if one.low == one.low else ""
            found.append((title, f"{digits(one.value, 3)}{between}"))
        found += [("Held-out images", str(table.images)), ("Patients or groups", str(table.groups))]
    return found


def curve_part(folds: Sequence[TrainedFold]) -> list[dict[str, Any]]:
    """Charts and numbers of each configuration whose folds have curves."""
    parts = []
    for configuration, group in groupby(folds, key=lambda one: one.configuration):
        own = [fold for fold in group if fold.curves.get("epoch")]
        if own:
            rows = [_curve_row(fold) for fold in own]
            parts.append({"configuration": configuration, "charts": curve_charts(own), "rows": rows})
    return parts


def score_part(table: ScoreTable | None, cases: Sequence[Case], dataset_name: str) -> dict[str, Any] | None:
    """Scores with their protocol, and published figures on the same data set; None without scores."""
    if table is None:
        return None
    grouped = f"{table.groups} groups (patients), none split by the folds"
    if table.groups == table.images:
        grouped = "every image counts as its own group"
    protocol = (
        f"Cross-validation: {table.images} held-out images at their own size, {grouped}; mean over images; an image "
        "where a class is in neither mask is left out of its mean, a false alarm and a miss count as 0."
    )
    dice = {label: [case.scores[label].scores.dice for case in cases if label in case.scores] for label in table.labels}
    return {
        "table": table,
        "protocol": protocol,
        "chart": dice_chart(dice),
        "published": published_figures(dataset_name),
    }


def ranking_part(
    selection: Selection | None, folds: Sequence[TrainedFold], cases: Sequence[Case]
) -> dict[str, Any] | None:
    """What medt_find_best found; None where it was not run."""
    if selection is None or not selection.ranking:
        return None
    text = f"Mean Dice on held-out images with 95 % intervals over patients. {selection.rule}"
    if selection.weights == "learned" and selection.weights_gain is not None:
        gain = selection.weights_gain
        text += (
            " The table has equal weights; those of the selected model were then learned, which gained "
            f"{digits(gain.value, 4)} ({digits(gain.low, 4)}–{digits(gain.high, 4)}) on images that they were not "
            "learned from."
        )
    return {
        "text": text,
        "rows": selection.ranking,
        "chart": ranking_chart(selection.ranking),
        "quality": _quality(selection, cases),
    }


def runs_part(folds: Sequence[TrainedFold], selection: Selection | None) -> dict[str, Any]:
    """Trainings and versions; nothing that names a machine, a folder or a user."""
    facts = []
    if selection is not None:
        members = "; ".join(
            f"{one.configuration} (folds {', '.join(map(str, one.folds))}, weight {one.weight:.2g})"
            for one in selection.members
        )
        facts += [("Recipe", members), ("Weights", selection.weights)]
        facts.append(("Post-processing", _postprocessing(selection)))
    packages = dict.fromkeys(_versions(fold.run) for fold in folds if fold.run)
    facts += [("Versions in training", text) for text in packages if text]
    return {"folds": [_run_row(fold) for fold in folds], "facts": facts} if folds or facts else {}


def _curve_row(fold: TrainedFold) -> dict[str, Any]:
    curves = fold.curves
    return {
        "fold": fold.fold,
        "epochs": len(curves["epoch"]),
        "training_loss": curves["training_loss"][-1],
        "validation_loss": curves["validation_loss"][-1],
        "pseudo_dice": max((one for one in curves["pseudo_dice_moving_average"] if one == one), default=None),
        "seconds": float(np.median(curves["seconds"])),
    }


def _postprocessing(selection: Selection) -> str:
    """What is done to masks, with what it gained, or that nothing helped."""
    taken = [
        f"{one.label}: {one.step} (gain {digits(one.gain, 4)}, at least {digits(one.low, 4)})"
        for one in selection.trials
        if one.taken
    ]
    return "; ".join(taken) or f"none: of {len(selection.trials)} things that were tried, none surely helped"


def _quality(selection: Selection, cases: Sequence[Case]) -> dict[str, Any] | None:
    known = [case for case in cases if not np.isnan(case.estimated_dice) and not np.isnan(case.dice)]
    quality = selection.quality
    if quality is None or not known:
        return None
    text = (
        f"Dice that the probabilities let expect, calibrated on {quality.images} held-out images: off by "
        f"{quality.error:.3f} on average, correlation with the true Dice {quality.correlation:.2f} "
        f"(of ranks {quality.rank_correlation:.2f}), each image judged by a calibration on the other folds."
    )
    chart = quality_chart([case.estimated_dice for case in known], [case.dice for case in known], quality)
    return {"text": text, "chart": chart}


def _run_row(fold: TrainedFold) -> dict[str, Any]:
    seconds = fold.run.get("seconds")
    return {
        "configuration": fold.configuration,
        "fold": fold.fold,
        "images": len(fold.scores.by_case) or "not scored yet",
        "epochs": fold.run.get("epochs_trained", len(fold.curves.get("epoch", ())) or UNDEFINED),
        "minutes": None if seconds is None else float(seconds) / 60,
        "device": str(fold.run.get("device", UNDEFINED)),
        "seed": fold.run.get("seed", UNDEFINED),
    }


def _versions(run: Mapping[str, Any]) -> str:
    packages = run.get("packages", {})
    shown = [f"{name} {packages[name]}" for name in PACKAGES if name in packages]
    return ", ".join([*shown, f"Python {run['python']}"] if "python" in run else shown)
