"""Areas and confidence of a clip over time, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medt_pipeline.clips.areas import FrameAreas, mm2_per_pixel
from medt_pipeline.core.files import atomic_path
from medt_pipeline.core.overlays import colour_of
from medt_pipeline.core.pixel_size import PixelSize

SIZE = (8.0, 5.0)
"""Inches; 100 pixels an inch."""
_DPI = 100
_PALE = "#b0a000"
"""Of the first class, whose yellow is too pale on white."""


def write_plot(file: Path, frames: Sequence[FrameAreas], names: Mapping[int, str], size: PixelSize | None) -> None:
    """Draw the area of each class, in mm² where the size of a pixel is known, and below it the confidence, as PNG.

    The axis is time in seconds where all frames tell it, else the number of the frame.
    """
    factor, unit = mm2_per_pixel(size), "pixels" if size is None else "mm²"
    timed = all(one.seconds is not None for one in frames)
    along = [one.seconds if timed else one.index + 1 for one in frames]
    figure = Figure(figsize=SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    marker = "o" if len(frames) == 1 else ""
    for label, name in names.items():
        areas = [one.pixels[label] * (factor or 1.0) for one in frames]
        # a name that begins with "_" would be left out, and "$" would be read as a formula
        shown = f" {name}".replace("$", r"\$")
        above.plot(along, areas, color=_colour(label), marker=marker, lw=1.4, label=shown)
    highest = max(max(one.pixels.values()) for one in frames) * (factor or 1.0)
    above.set(ylabel=f"area, {unit}", ylim=(0, 1.05 * highest or 1))
    above.legend(frameon=False)
    sure = [float("nan") if one.confidence is None else one.confidence for one in frames]
    below.plot(along, sure, color="#444444", marker=marker, lw=1.2)
    below.set(ylabel="confidence", ylim=(0, 1), xlabel="time, s" if timed else "frame")
    for axes in (above, below):
        axes.grid(color="#dddddd", lw=0.6)
    with atomic_path(file) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def _colour(label: int) -> str:
    """That of the contours."""
    colour = "#{:02x}{:02x}{:02x}".format(*colour_of(label))
    return _PALE if colour == "#f0e442" else colour
