"""The two stains of a histology image and how strong they are (Macenko et al., ISBI 2009)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medt_pipeline.core.levels import block_means

TISSUE_DENSITY = 0.15
"""Optical density (decadic), mean of the channels, from which a pixel counts as stained. Macenko et al. ask for their β
in every channel, which would leave out all but the darkest eosin: it absorbs no red."""

ANGLE_PERCENTILES = (1, 99)
"""Robust extremes of the directions in the stain plane: α of Macenko et al."""

STRONG_PERCENTILE = 99
"""Of the concentrations: what Macenko et al. bring to one value."""

LIGHT_LEVEL = 204
"""Level of 255 in every channel from which a pixel counts as empty slide."""

USUAL_LIGHT = 240
"""Level of the empty slide where the image shows none, as Macenko normalization is commonly computed."""

LEAST_ANGLE_DEG = 1.0
LEAST_SHARE_IN_PLANE = 0.9
"""Length of the mean density's part in the stain plane over its whole length."""

LEAST_LIGHT_SHARE = 0.01
LEAST_TISSUE_BLOCKS = 200
LEAST_TISSUE_SHARE = 0.01
SAMPLED_BLOCKS = 65_536

HAEMATOXYLIN_REFERENCES = ((0.65, 0.70, 0.29), (0.56, 0.72, 0.41))
EOSIN_REFERENCES = ((0.07, 0.99, 0.11), (0.22, 0.80, 0.56))
"""Ruifrok and Johnston 2001 (Anal Quant Cytol Histol 23, 291), and those to which Macenko et al. normalize: scanners
differ, and the slides of one set may lie near either."""

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class StainFacts:
    """Stains of one coloured image, read as haematoxylin and eosin whatever they are.

    Densities are decadic and relative to the light. What needs the stain vectors is None where less than
    `LEAST_TISSUE_SHARE` of the pixels is stained, or all are of one hue.

    Attributes:
        tissue_share: share of pixels with a density of at least `TISSUE_DENSITY` in the mean of the channels, 0 to 1.
        background_share: share of pixels of the empty slide, 0 to 1.
        background_level: their mean level, 0 to 1; None where they are less than `LEAST_LIGHT_SHARE`.
        haematoxylin: density of red, green and blue at concentration 1, of length 1: the stain with more red density.
        eosin: the other one.
        stain_angle_deg: angle between both.
        haematoxylin_reference_angle_deg: angle of `haematoxylin` to the nearer of `HAEMATOXYLIN_REFERENCES`.
        eosin_reference_angle_deg: the same for `eosin` and `EOSIN_REFERENCES`.
        haematoxylin_mean: mean concentration over the stained pixels; says how much of them is nuclei.
        eosin_mean: the same for eosin.
        haematoxylin_p99: ninety-ninth percentile of the concentration; says how strong the stain is.
        eosin_p99: the same for eosin.
    """

    tissue_share: float
    background_share: float
    background_level: float | None
    haematoxylin: Vector | None = None
    eosin: Vector | None = None
    stain_angle_deg: float | None = None
    haematoxylin_reference_angle_deg: float | None = None
    eosin_reference_angle_deg: float | None = None
    haematoxylin_mean: float | None = None
    eosin_mean: float | None = None
    haematoxylin_p99: float | None = None
    eosin_p99: float | None = None


def measure_stain(picture: np.ndarray) -> StainFacts:
    """Facts about `picture`, (3, H, W) uint8 RGB, from means of square blocks, of at most about `SAMPLED_BLOCKS`."""
    pixels = _sample(picture)
    empty = (pixels >= LIGHT_LEVEL).all(1)
    background_share = float(empty.mean())
    seen = background_share >= LEAST_LIGHT_SHARE
    light = np.median(pixels[empty], axis=0) if seen else np.full(3, USUAL_LIGHT, float)
    density = optical_density(pixels, light)
    tissue = density.mean(1) >= TISSUE_DENSITY
    known = (
        float(tissue.mean()),
        background_share,
        float(pixels[empty].mean() / 255) if seen else None,
    )
    if tissue.sum() < max(LEAST_TISSUE_BLOCKS, LEAST_TISSUE_SHARE * len(tissue)):
        return StainFacts(*known)
    vectors = stain_vectors(density[tissue])
    if vectors is None:
        return StainFacts(*known)
    haematoxylin, eosin = vectors
    concentrations = density[tissue] @ np.linalg.pinv(vectors)
    mean, p99 = concentrations.mean(0), np.percentile(concentrations, STRONG_PERCENTILE, axis=0)
    return StainFacts(
        *known,
        as_vector(haematoxylin),
        as_vector(eosin),
        angle_deg(haematoxylin, eosin),
        min(angle_deg(haematoxylin, reference) for reference in HAEMATOXYLIN_REFERENCES),
        min(angle_deg(eosin, reference) for reference in EOSIN_REFERENCES),
        float(mean[0]),
        float(mean[1]),
        float(p99[0]),
        float(p99[1]),
    )


def optical_density(pixels: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Decadic density of `pixels`, (n, 3) levels of 0 to 255, under `light`, (3,) levels above 0; never below 0."""
    return np.maximum(np.log10(light) - np.log10(np.maximum(pixels, 1)), 0)


def stain_vectors(density: np.ndarray) -> np.ndarray | None:
    """The two stains in `density`, (n, 3) of stained pixels: (2, 3), each of length 1, haematoxylin first.

    Macenko et al. 2009, doi 10.1109/ISBI.2009.5193250: the plane of the two largest principal axes, and in it the
    robust extremes of the directions. None where there is one direction only (less than a degree between both), or
    where the mean colour lies off that plane, so that it holds noise and no stains.
    """
    _, axes = np.linalg.eigh(np.cov(density.T))
    # Directions are measured from the mean one, so that no pixel lies where angles jump from π to −π.
    mean = density.mean(0)
    first = axes[:, 1:] @ (axes[:, 1:].T @ mean)
    if np.linalg.norm(first) < LEAST_SHARE_IN_PLANE * np.linalg.norm(mean):
        return None
    first /= np.linalg.norm(first)
    second = axes[:, 2] - first * (first @ axes[:, 2])
    if np.linalg.norm(second) < np.sin(np.radians(LEAST_ANGLE_DEG)):
        second = axes[:, 1] - first * (first @ axes[:, 1])
    second /= np.linalg.norm(second)
    angles = np.arctan2(density @ second, density @ first)
    extremes = np.percentile(angles, ANGLE_PERCENTILES)
    if np.ptp(extremes) < np.radians(LEAST_ANGLE_DEG):
        return None
    vectors = np.cos(extremes)[:, None] * first + np.sin(extremes)[:, None] * second
    return vectors[np.argsort(-vectors[:, 0])]


def angle_deg(one: ArrayLike, other: ArrayLike) -> float:
    """Angle in degrees between two directions, (3,) each and not zero; 0 to 180."""
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other)), one @ other)))


def _sample(picture: np.ndarray) -> np.ndarray:
    """Mean levels (n, 3) of blocks of `picture`, (3, H, W) uint8: few, and with less of the camera's noise."""
    side = max(1, int(np.ceil(np.sqrt(picture[0].size / SAMPLED_BLOCKS))))
    return np.stack([block_means(channel, side).ravel() for channel in picture], axis=1)


def as_vector(vector: np.ndarray) -> Vector:
    """`vector`, (3,), as a tuple."""
    red, green, blue = (float(value) for value in vector)
    return red, green, blue
