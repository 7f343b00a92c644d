"""Scores as text for the screen: aligned columns, what was counted, and what was left out."""

from __future__ import annotations

import math

from medt_pipeline.evaluation.folder import FolderScores, list_names
from medt_pipeline.evaluation.metrics import Case
from medt_pipeline.evaluation.scores import DISTANCES, TITLES, Scores
from medt_pipeline.evaluation.statistics import Interval
from medt_pipeline.evaluation.summary import ClassScores, OverClasses

_CASE_TITLES: dict[Case, str] = {
    "both": "in both",
    "neither": "in neither",
    "false alarm": "false alarms",
    "miss": "misses",
}
_HEAD = ["", "mean", "95 % interval", "images", "pooled", "95 % interval"]


def to_text(scores: FolderScores) -> str:
    """A table a class with the images of each case, what the figures mean, and what was left out."""
    parts = [f"Labels from {scores.labels.source}: {scores.labels}."]
    parts += [f"{one.label}: {_cases(one.cases)}\n{_table(one, scores)}" for one in scores.classes]
    if len(scores.classes) > 1:
        parts.append(f"Mean of the classes\n{_table(scores.over_classes, scores)}")
    parts += [_published(scores), "\n".join(_explanations(scores)), "\n".join(_left_out(scores))]
    return "\n\n".join(filter(None, parts)) + "\n"


def _cases(cases: dict[Case, int]) -> str:
    number = sum(cases.values())
    listed = ", ".join(f"{title} {cases[case]}" for case, title in _CASE_TITLES.items())
    return f"{number} image{'s' if number != 1 else ''} ({listed})"


def _table(one: ClassScores | OverClasses, scores: FolderScores) -> str:
    rows = [_HEAD]
    for name in scores.setting.scores:
        images = str(getattr(one.images, name)) if isinstance(one, ClassScores) else ""
        title = f"{TITLES[name]} ({scores.setting.unit})" if name in DISTANCES else TITLES[name]
        rows.append(
            [
                title,
                *_cells(name, one.mean, one.mean_interval),
                images,
                *_cells(name, one.pooled, one.pooled_interval),
            ]
        )
    return _aligned(rows)


def _cells(name: str, values: Scores, interval: Interval) -> list[str]:
    value, low, high = (_number(getattr(one, name), name) for one in (values, *interval))
    return [value, "–" if "–" in (low, high) else f"{low} to {high}"]


def _number(value: float, name: str) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3g}" if name in DISTANCES else f"{value:.4f}"


def _aligned(table: list[list[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]).rstrip() for row in table
    )


def _published(scores: FolderScores) -> str:
    rows = [["", "F1", "IoU", "F1 by our rule", "images", "of these without a hit"]]
    for one in scores.classes:
        if one.published is not None:
            hidden = ", ".join(
                f"{_CASE_TITLES[case]} {number}" for case, number in one.published.without_hit.items() if number
            )
            rows.append(
                [
                    one.label,
                    f"{one.published.f1:.4f}",
                    f"{one.published.iou:.4f}",
                    _number(one.published.f1_by_our_rule, "dice"),
                    str(one.published.images),
                    f"{sum(one.published.without_hit.values())}" + (f" ({hidden})" if hidden else ""),
                ]
            )
    if len(rows) == 1:
        return ""
    size = scores.setting.published_size
    return (
        f"By the protocol of the published scripts, resized to {size} × {size}:\n{_aligned(rows)}\n"
        "Warning: there an image without a single true positive scores 1, so that a complete miss, a false alarm or an "
        "object in the\nwrong place counts as perfect, and resizing hides errors at outlines and small objects. These "
        "figures are for comparison with\nthe paper's only, whose epoch was moreover chosen on the test images."
    )


def _explanations(scores: FolderScores) -> list[str]:
    setting = scores.setting
    groups = f"{setting.groups} group{'s' if setting.groups != 1 else ''}"
    lines = [
        "Dice is F1. An image where both are empty is left out of the means; a false alarm and a miss count as Dice 0.",
        f"Intervals: bootstrap over {groups} ({setting.groups_from}).",
    ]
    if "surface_dice" in setting.scores:
        lines.append(
            f"Surface Dice at {setting.tolerance}. HD95 and ASSD cover only images where both are present: "
            "misses and false alarms are not in them."
        )
    if setting.objects:
        lines.append(f"Objects: {setting.objects}.")
    if setting.without_objects:
        lines.append(f"Objects were not scored: {setting.without_objects}.")
    return lines


def _left_out(scores: FolderScores) -> list[str]:
    lines = []
    if scores.missing:
        total, names = len(scores.missing) + len(scores.image_names), list_names(scores.missing)
        lines.append(f"References without a prediction, in no score: {len(scores.missing)} of {total} ({names}).")
    if scores.without_reference:
        names = list_names(scores.without_reference)
        lines.append(f"Predictions without a reference, in no score: {len(scores.without_reference)} ({names}).")
    return lines
