"""Charts as SVG, drawn by matplotlib once for a light and once for a dark page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from medt_pipeline.core.overlays import PALETTE
from medt_pipeline.evaluation.quality import Quality
from medt_pipeline.report.folds import TrainedFold
from medt_pipeline.report.ranking import RankedRow

WIDTH, HEIGHT = 5.4, 3.3
"""Inches; at 96 pixels an inch the letters stay readable on a phone."""
MOST_RANKED = 15
LONGEST_NAME = 28
LINES = tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in (*PALETTE[3:4], PALETTE[1], *PALETTE[4:], PALETTE[2]))
"""The palette of the contours without its yellow, which is too pale on white."""
_INK = {"light": "#1f2328", "dark": "#e6e6e6"}
_GRID = {"light": "#d0d4d9", "dark": "#4a4f57"}


@dataclass(frozen=True)
class Chart:
    """A chart as two data URIs, its size in CSS pixels, and what it shows in words."""

    light: str
    dark: str
    width: int
    height: int
    alt: str


def curve_charts(folds: Sequence[TrainedFold]) -> list[Chart]:
    """Losses and pseudo Dice over epochs of the folds of one configuration; [] where none has curves."""
    known = [fold for fold in folds if fold.curves.get("epoch")]
    if not known:
        return []
    numbers = ", ".join(str(fold.fold) for fold in known)

    def losses(axes: Axes) -> None:
        for fold in known:
            colour = LINES[fold.fold % len(LINES)]
            axes.plot(fold.curves["epoch"], fold.curves["training_loss"], color=colour, alpha=0.45, lw=1)
            axes.plot(
                fold.curves["epoch"], fold.curves["validation_loss"], color=colour, lw=1.6, label=f"fold {fold.fold}"
            )
        axes.set(xlabel="epoch", ylabel="loss", title="Loss: validation (strong), training (pale)")

    def dice(axes: Axes) -> None:
        for fold in known:
            colour = LINES[fold.fold % len(LINES)]
            curve = fold.curves["pseudo_dice_moving_average"]
            axes.plot(fold.curves["epoch"], curve, color=colour, lw=1.6, label=f"fold {fold.fold}")
        axes.set(xlabel="epoch", ylabel="pseudo Dice", title="Pseudo Dice, moving average", ylim=(0, 1))

    return [
        draw_chart(losses, f"Training and validation loss over epochs of folds {numbers}.", legend=True),
        draw_chart(dice, f"Moving average of the pseudo Dice over epochs of folds {numbers}.", legend=True),
    ]


def ranking_chart(ranking: Sequence[RankedRow]) -> Chart:
    """Mean Dice with intervals of the best candidates; at least one."""
    shown = ranking[:MOST_RANKED][::-1]

    def draw(axes: Axes) -> None:
        for y, row in enumerate(shown):
            colour = LINES[0] if row.chosen else LINES[1]
            if not math.isnan(row.dice.low):
                axes.plot([row.dice.low, row.dice.high], [y, y], color=colour, lw=2, solid_capstyle="butt")
            axes.plot([row.dice.value], [y], "o", color=colour, ms=6)
        axes.set_yticks(range(len(shown)), [_short(row.name) for row in shown])
        axes.set(xlabel="mean Dice on held-out images, 95 % interval", ylim=(-0.6, len(shown) - 0.4))

    alt = f"Mean Dice with intervals of {len(shown)} candidates; the table beside has the numbers."
    return draw_chart(draw, alt, height=0.9 + 0.28 * len(shown))


def dice_chart(dice: Mapping[str, Sequence[float]]) -> Chart:
    """How the Dice of the images spreads, for each class."""

    def draw(axes: Axes) -> None:
        labels = list(dice)[::-1]
        values = [[one for one in dice[label] if not math.isnan(one)] for label in labels]
        axes.boxplot(values, orientation="horizontal", widths=0.5, showfliers=False)
        for y, column in enumerate(values, start=1):
            # Spread by order, so that equal scores do not hide each other.
            offsets = [0.24 * ((7 * index) % 11 / 5 - 1) for index in range(len(column))]
            axes.plot(column, [y + one for one in offsets], "o", ms=3, alpha=0.6, color=LINES[0], mew=0)
        axes.set_yticks(range(1, len(labels) + 1), [_short(label) for label in labels])
        axes.set(xlabel="Dice of each image; box: quartiles and median", xlim=(_floor(values), 1.02))

    images = max((len(values) for values in dice.values()), default=0)
    alt = f"Dice of each of {images} images by class; the table of cases has the numbers."
    return draw_chart(draw, alt, height=1.2 + 0.6 * len(dice))


def quality_chart(estimated: Sequence[float], true: Sequence[float], quality: Quality) -> Chart:
    """Estimated against true Dice of the held-out images."""

    def draw(axes: Axes) -> None:
        low = _floor([estimated, true])
        axes.plot([low, 1], [low, 1], color=mpl.rcParams["axes.edgecolor"], lw=0.8, ls="--")
        axes.plot(estimated, true, "o", ms=4, alpha=0.7, color=LINES[1], mew=0)
        axes.set(xlabel="estimated Dice", ylabel="true Dice", xlim=(low, 1.02), ylim=(low, 1.02))

    alt = f"Estimated against true Dice of {len(true)} images, correlation {quality.correlation:.2f}."
    return draw_chart(draw, alt)


def _floor(columns: Sequence[Sequence[float]]) -> float:
    """Where an axis of scores begins: the tenth below the smallest, at most 0.8."""
    smallest = min((one for column in columns for one in column), default=0.0)
    return min(math.floor(smallest * 10) / 10, 0.8) - 0.02


def _short(name: str) -> str:
    """A name that leaves room for the chart beside it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def draw_chart(draw: Callable[[Axes], None], alt: str, height: float = HEIGHT, legend: bool = False) -> Chart:
    """A chart `height` inches high of what `draw` puts into its axes, for light and dark pages."""
    light, dark = (_svg(draw, theme, height, legend) for theme in ("light", "dark"))
    return Chart(light, dark, round(WIDTH * 96), round(height * 96), alt)


def _svg(draw: Callable[[Axes], None], theme: str, height: float, legend: bool) -> str:
    with mpl.rc_context(_style(theme)):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        if legend:
            axes.legend(frameon=False, fontsize=8)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _style(theme: str) -> dict[Any, Any]:
    """Settings of matplotlib: names are text and no formulas, letters stay letters, two runs give the same bytes."""
    ink, grid = _INK[theme], _GRID[theme]
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor")
    return {
        **dict.fromkeys((*inked, *(f"boxplot.{part}.color" for part in ("boxprops", "whiskerprops", "capprops"))), ink),
        "boxplot.medianprops.color": LINES[1],
        "boxplot.medianprops.linewidth": 2,
        "axes.grid": True,
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.titlesize": 10,
        "font.size": 9.5,
        "font.family": "sans-serif",
        "svg.fonttype": "none",
        "svg.hashsalt": "medt_report",
        "text.parse_math": False,
    }
