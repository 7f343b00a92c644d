"""Drawn histology: glands in stroma, stained with haematoxylin and eosin.

Lengths are in units of the image's shorter side; x runs to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medt_pipeline.demo.shapes import Outline, check_size, coordinates, draw_outline, inside_of, rotate, smooth_noise


@dataclass(frozen=True)
class Stain:
    """Staining of one patient's slides.

    Attributes:
        haematoxylin: optical density of red, green and blue at concentration 1, of length 1.
        eosin: as `haematoxylin`.
        strength: factor on both concentrations.
        light: intensity of the empty slide, 0 to 255.
    """

    haematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]
    strength: float
    light: float


def draw_stain(rng: np.random.Generator) -> Stain:
    """Random stains around the vectors of Macenko et al. 2009 (doi 10.1109/ISBI.2009.5193250)."""
    vectors = np.array([(0.56, 0.72, 0.41), (0.22, 0.80, 0.56)]) + rng.normal(0, (0.05, 0.03, 0.05), (2, 3))
    haematoxylin, eosin = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Stain(
        haematoxylin=tuple(haematoxylin.tolist()),
        eosin=tuple(eosin.tolist()),
        strength=rng.uniform(0.8, 1.25),
        light=rng.uniform(232, 250),
    )


def draw_histology(
    rng: np.random.Generator, height: int, width: int, stain: Stain | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a tissue section, stained with haematoxylin and eosin, that holds 2 to 6 glands.

    A gland is a ring of dark nuclei around pink cytoplasm around a pale lumen. Stroma has elongated and round nuclei,
    fibres, and pale clefts that are no lumen. Colours follow from concentrations by the law of Beer and Lambert.

    Args:
        height: at least 64.
        width: at least 64.
        stain: colours and light; drawn where None.

    Returns:
        image (height, width, 3) uint8; mask (height, width) uint8, 1 in whole glands, lumen included, never empty.

    Raises:
        ValueError: the size is too small.
    """
    check_size(height, width)
    stain = stain or draw_stain(rng)
    x, y = coordinates(height, width)
    glands = _place_glands(rng, x, y)
    inside = np.min([gland.level(x, y) for gland in glands], axis=0)
    slide = _Slide(x, y, *_stroma(rng, x.shape))
    _add_clefts(rng, slide, inside)
    _add_stroma_nuclei(rng, slide, inside)
    for gland in glands:
        _add_gland(rng, slide, gland)
    return _develop(rng, slide, stain), (inside < 1).astype(np.uint8)


@dataclass
class _Slide:
    """Concentrations (H, W) of both stains, changed in place while structures are added."""

    x: np.ndarray
    y: np.ndarray
    haematoxylin: np.ndarray
    eosin: np.ndarray

    def paint(self, weight: np.ndarray, haematoxylin: np.ndarray | float, eosin: np.ndarray | float) -> None:
        """Replace both concentrations where `weight`, 0 to 1, is high."""
        self.haematoxylin += weight * (haematoxylin - self.haematoxylin)
        self.eosin += weight * (eosin - self.eosin)

    def add_nucleus(
        self, place: tuple[float, float], length: float, aspect: float, direction: float, dark: float
    ) -> None:
        """Paint an ellipse of `length` (half its long axis) around `place`."""
        scale = 1 / (self.x[0, 1] - self.x[0, 0])
        column, row, reach = round(place[0] * scale), round(place[1] * scale), int(np.ceil(1.3 * length * scale))
        window = (
            slice(max(row - reach, 0), max(row + reach, 0)),
            slice(max(column - reach, 0), max(column + reach, 0)),
        )
        along, across = rotate(self.x[window] - place[0], self.y[window] - place[1], direction)
        weight = 0.9 * inside_of(np.hypot(along / length, across / (length * aspect)), 0.18)
        self.haematoxylin[window] += weight * (dark - self.haematoxylin[window])
        self.eosin[window] += weight * (0.25 - self.eosin[window])


def _place_glands(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> list[Outline]:
    """2 to 6 outlines that keep a gap; fewer than drawn where there is no room, but never none."""
    wanted = rng.integers(2, 7)
    glands: list[Outline] = []
    taken = np.full(x.shape, np.inf)
    for _ in range(60):
        if len(glands) == wanted:
            break
        row, column = rng.integers(0, x.shape[0]), rng.integers(0, x.shape[1])
        gland = draw_outline(
            rng, float(x[0, column]), float(y[row, 0]), rng.uniform(0.13, 0.30), rng.uniform(0.5, 0.95), 0.09
        )
        level = gland.level(x, y)
        visible = (level < 1).mean() > 0.02
        if visible and not ((level < 1.12) & (taken < 1.12)).any():
            glands.append(gland)
            taken = np.minimum(taken, level)
    return glands


def _stroma(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Concentrations of wavy fibres: stripes of noise, bent by slower noise."""
    rows, columns = np.indices(shape)
    bend = 0.12 * min(shape) * np.stack([smooth_noise(rng, shape, 0.15) for _ in range(2)])
    stripes = ndimage.gaussian_filter(rng.standard_normal(shape), (0.8, 6))
    bent = [rows + bend[0], columns + bend[1]]
    stripes = ndimage.map_coordinates(stripes / stripes.std(), bent, order=1, mode="wrap")
    eosin = 0.62 + 0.10 * stripes + 0.10 * smooth_noise(rng, shape, 0.08)
    haematoxylin = 0.20 + 0.03 * stripes + 0.05 * smooth_noise(rng, shape, 0.03)
    return haematoxylin, eosin


def _add_clefts(rng: np.random.Generator, slide: _Slide, inside: np.ndarray) -> None:
    """Pale vessels and tears in the stroma, without a ring of nuclei."""
    outside = 1 - inside_of(inside / 1.15, 0.05)
    for _ in range(rng.integers(2, 6)):
        x, y = rng.uniform(0, slide.x.max()), rng.uniform(0, slide.y.max())
        cleft = draw_outline(rng, x, y, rng.uniform(0.04, 0.11), rng.uniform(0.2, 0.8), 0.12)
        slide.paint(inside_of(cleft.level(slide.x, slide.y), 0.1) * outside, 0.03, rng.uniform(0.02, 0.12))


def _add_stroma_nuclei(rng: np.random.Generator, slide: _Slide, inside: np.ndarray) -> None:
    """Elongated nuclei along a slowly turning direction, and clusters of round ones."""
    direction = np.pi * smooth_noise(rng, inside.shape, 0.3)
    crowd = smooth_noise(rng, inside.shape, 0.12)
    for _ in range(int(260 * inside.size / min(inside.shape) ** 2)):
        row, column = rng.integers(0, inside.shape[0]), rng.integers(0, inside.shape[1])
        round_cell = crowd[row, column] > 0.9
        length, aspect = (rng.uniform(0.013, 0.018), 0.9) if round_cell else (rng.uniform(0.016, 0.03), 0.35)
        turn = direction[row, column] + rng.normal(0, 0.3)
        dark = rng.uniform(0.8, 1.3)
        in_tissue = slide.eosin[row, column] > 0.3
        if in_tissue and inside[row, column] > 1.08:
            slide.add_nucleus((slide.x[0, column], slide.y[row, 0]), length, aspect, turn, dark)


def _add_gland(rng: np.random.Generator, slide: _Slide, gland: Outline) -> None:
    level = gland.level(slide.x, slide.y)
    ragged = level + 0.05 * smooth_noise(rng, level.shape, 0.02)
    texture = smooth_noise(rng, level.shape, 0.015)
    cytoplasm = rng.uniform(0.4, 0.62)
    slide.paint(inside_of(level, 0.03), 0.22 + 0.04 * texture, cytoplasm + 0.06 * texture)
    lumen = rng.uniform(0.3, 0.55)
    slide.paint(inside_of(ragged / lumen, 0.06), 0.04, rng.uniform(0.03, 0.2) + 0.03 * texture)
    circumference = 2 * np.pi * gland.radius * (1 + gland.aspect) / 2
    for ring in (0.87, 0.73) if gland.radius > 0.18 else (0.86,):
        for angle in np.arange(0, 2 * np.pi, 2 * np.pi * 0.026 / (ring * circumference)):
            if rng.random() < 0.12:
                continue
            place = gland.point(angle + rng.normal(0, 0.02), ring + rng.normal(0, 0.025))
            outward = np.arctan2(place[1] - gland.y, place[0] - gland.x)
            length = rng.uniform(0.017, 0.026)
            slide.add_nucleus(
                place, length, rng.uniform(0.45, 0.65), outward + rng.normal(0, 0.2), rng.uniform(0.8, 1.4)
            )


def _develop(rng: np.random.Generator, slide: _Slide, stain: Stain) -> np.ndarray:
    """Light that passes both stains, blurred by the lens, with the noise of the sensor."""
    grain = 1 + 0.08 * smooth_noise(rng, slide.x.shape, 0.008)
    density = slide.haematoxylin[..., None] * grain[..., None] * np.array(stain.haematoxylin)
    density = density + slide.eosin[..., None] * np.array(stain.eosin)
    light = stain.light * np.exp(-stain.strength * density.clip(0))
    light = ndimage.gaussian_filter(light, (0.6, 0.6, 0)) + rng.normal(0, 2.5, light.shape)
    return light.clip(0, 255).round().astype(np.uint8)
