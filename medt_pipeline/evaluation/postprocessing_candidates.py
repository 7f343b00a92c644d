"""What is tried in learning post-processing: small grids, as fractions of the median object of the references."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from medt_pipeline.postprocessing.splitting import Splitting
from medt_pipeline.postprocessing.steps import STEPS, Step, StepName

AREAS = (1 / 64, 1 / 16, 1 / 8, 1 / 4)
"""Of the median area of an object: the smallest objects that stay and the largest holes that go."""
RADII = (1 / 32, 1 / 16, 1 / 8)
"""Of its equivalent diameter: opening and closing."""
DEPTHS = (1 / 32, 1 / 16, 1 / 8, 1 / 4)
"""Of its equivalent diameter: depth of splitting."""
SIGMAS = (1 / 64, 1 / 32, 1 / 16)
"""Of its equivalent diameter: smoothing of probabilities."""
ALL_HOLES = 1e9


def candidate_steps(median_area: float, done: Collection[StepName] = ()) -> list[Step]:
    """Every step with every parameter, but for the kinds in `done`.

    Args:
        median_area: of an object of the class in the references, in pixels.
        done: kinds of steps that the class has already.
    """
    areas = sorted({float(max(2, round(median_area * share))) for share in AREAS})
    radii = _lengths(median_area, RADII, smallest=1.0)
    amounts: dict[StepName, list[float]] = {
        "remove_small_objects": areas,
        "fill_holes": [*areas, ALL_HOLES],
        "keep_largest": [0.0],
        "open": radii,
        "close": radii,
    }
    return [Step(name, amount) for name in STEPS if name not in done for amount in amounts[name]]


def candidate_smoothings(median_area: float) -> list[float]:
    """Standard deviations in pixels."""
    return _lengths(median_area, SIGMAS, smallest=0.5)


def candidate_splittings(median_area: float) -> list[Splitting]:
    """Every depth, without smoothing of the distance and with a little."""
    depths = _lengths(median_area, DEPTHS, smallest=0.5)
    return [Splitting(depth, smoothing) for smoothing in (0.0, depths[0]) for depth in depths]


def _lengths(median_area: float, shares: Sequence[float], smallest: float) -> list[float]:
    """Shares of the equivalent diameter, to a quarter of a pixel."""
    diameter = math.sqrt(4 * median_area / math.pi)
    return sorted({max(smallest, round(4 * diameter * share) / 4) for share in shares})
