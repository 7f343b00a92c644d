"""The stains of a data set and how far its cases differ in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medt_pipeline.fingerprint.spread import Spread, median_of, spread_of
from medt_pipeline.fingerprint.stain import StainFacts, Vector, angle_deg, as_vector


@dataclass(frozen=True)
class StainSummary:
    """Stains over the coloured cases. What needs stain vectors is None where no case has them.

    Attributes:
        cases: coloured cases.
        cases_with_vectors: those with enough tissue.
        haematoxylin: median vector, of length 1.
        eosin: the same.
        stain_angle_deg: median over cases of the angle between both.
        haematoxylin_reference_angle_deg: median angle to the nearer of two published vectors.
        eosin_reference_angle_deg: the same for eosin.
        haematoxylin_deviation_deg: spread of the angles between the cases' vectors and the median one.
        eosin_deviation_deg: the same for eosin.
        haematoxylin_mean: spread of the mean concentrations.
        eosin_mean: the same for eosin.
        haematoxylin_p99: spread of the 99th percentiles of the concentrations: how far strengths differ.
        eosin_p99: the same for eosin.
        tissue_share: median share of stained pixels, 0 to 1.
        background_share: median share of pixels of the empty slide, 0 to 1.
        background_level: median level of the empty slide, 0 to 1; None where no case shows it.
        deviations_deg: by case, the larger of both angles to the median vectors.
    """

    cases: int
    cases_with_vectors: int
    haematoxylin: Vector | None
    eosin: Vector | None
    stain_angle_deg: float | None
    haematoxylin_reference_angle_deg: float | None
    eosin_reference_angle_deg: float | None
    haematoxylin_deviation_deg: Spread | None
    eosin_deviation_deg: Spread | None
    haematoxylin_mean: Spread | None
    eosin_mean: Spread | None
    haematoxylin_p99: Spread | None
    eosin_p99: Spread | None
    tissue_share: float
    background_share: float
    background_level: float | None
    deviations_deg: dict[str, float]


def summarise_stain(cases: Mapping[str, StainFacts]) -> StainSummary | None:
    """Summary of the stains by case; None where there is no case."""
    if not cases:
        return None
    every = list(cases.values())
    vectors = {name: (one.haematoxylin, one.eosin) for name, one in cases.items() if one.haematoxylin and one.eosin}
    medians, deviations = _deviations(np.array(list(vectors.values())).reshape(-1, 2, 3))
    return StainSummary(
        len(every),
        len(vectors),
        *medians,
        median_of(one.stain_angle_deg for one in every),
        median_of(one.haematoxylin_reference_angle_deg for one in every),
        median_of(one.eosin_reference_angle_deg for one in every),
        _spread(deviations[:, 0]),
        _spread(deviations[:, 1]),
        _spread([one.haematoxylin_mean for one in every if one.haematoxylin_mean is not None]),
        _spread([one.eosin_mean for one in every if one.eosin_mean is not None]),
        _spread([one.haematoxylin_p99 for one in every if one.haematoxylin_p99 is not None]),
        _spread([one.eosin_p99 for one in every if one.eosin_p99 is not None]),
        float(np.median([one.tissue_share for one in every])),
        float(np.median([one.background_share for one in every])),
        median_of(one.background_level for one in every),
        dict(zip(vectors, deviations.max(1, initial=0).tolist(), strict=True)),
    )


def _deviations(vectors: np.ndarray) -> tuple[tuple[Vector | None, Vector | None], np.ndarray]:
    """Median vectors of `vectors`, (n, 2, 3), each of length 1, and the angles (n, 2) of all to them in degrees."""
    if not len(vectors):
        return (None, None), np.zeros((0, 2))
    medians = np.median(vectors, axis=0)
    medians /= np.linalg.norm(medians, axis=1, keepdims=True)
    angles = [[angle_deg(vector, median) for vector, median in zip(case, medians, strict=True)] for case in vectors]
    return (as_vector(medians[0]), as_vector(medians[1])), np.array(angles)


def _spread(values: Sequence[float] | np.ndarray) -> Spread | None:
    return spread_of(values) if len(values) else None
