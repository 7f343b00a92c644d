"""Drawn ultrasound: a sector scan of speckled tissue with one dark lesion.

Lengths are in units of the image's shorter side; x runs to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medt_pipeline.demo.shapes import Outline, check_size, coordinates, draw_outline, inside_of, rotate, smooth_noise


@dataclass(frozen=True)
class Scanner:
    """Settings of an ultrasound machine for one patient.

    Attributes:
        half_angle: half opening of the sector in radians.
        attenuation: loss from the top to the bottom of the sector in dB, after the machine's own correction.
        gain: added to the logarithm of every echo, in dB.
        dynamic_range: width of the gray scale in dB.
        lesion_contrast: echo of the lesion against tissue in dB, negative.
    """

    half_angle: float
    attenuation: float
    gain: float
    dynamic_range: float
    lesion_contrast: float


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Random settings of a machine."""
    return Scanner(
        half_angle=rng.uniform(0.5, 0.75),
        attenuation=rng.uniform(5, 14),
        gain=rng.uniform(-4, 4),
        dynamic_range=rng.uniform(42, 54),
        lesion_contrast=rng.uniform(-24, -19),
    )


def draw_ultrasound(
    rng: np.random.Generator, height: int, width: int, scanner: Scanner | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a sector scan with one dark lesion in speckled tissue.

    Layers, small cysts, vessels, bright spots and shadows are there to be told from the lesion. Echoes are drawn along
    beams, blurred by a pulse that is wider across the beam, logarithmised and then put into the sector, so speckle
    grows with depth.

    Args:
        height: at least 64.
        width: at least 64.
        scanner: settings of the machine; drawn where None.

    Returns:
        image (height, width) uint8, 0 outside the sector; mask (height, width) uint8, 1 in the lesion, never empty.

    Raises:
        ValueError: the size is too small.
    """
    check_size(height, width)
    scanner = scanner or draw_scanner(rng)
    x, y = coordinates(height, width)
    bottom = height / min(height, width)
    probe = _Probe(x=x.mean(), depth=bottom, scanner=scanner)
    beams, depths = np.meshgrid(
        np.linspace(-scanner.half_angle, scanner.half_angle, round(1.2 * width)),
        np.linspace(probe.first, probe.last, round(1.6 * height)),
    )
    beam_x, beam_y = probe.to_image(beams, depths)
    lesion = _place_lesion(rng, probe)
    decibel = _tissue(rng, beams, depths, probe)
    decibel += _distractors(rng, beam_x, beam_y, lesion, probe)
    decibel += scanner.lesion_contrast * inside_of(lesion.level(beam_x, beam_y), 0.04)
    decibel += _shadows(rng, beams, depths, probe, lesion)
    echo = _speckle(rng, decibel)
    gray = 255 * (echo + scanner.gain + 0.56 * scanner.dynamic_range) / scanner.dynamic_range
    image = _to_sector(gray.clip(0, 255), x, y, probe)
    mask = (lesion.level(x, y) < 1) & probe.covers(x, y)
    return image, mask.astype(np.uint8)


@dataclass(frozen=True)
class _Probe:
    """The fan of beams: apex above the picture at (x, `_apex`), tissue from radius `first` to `last`."""

    x: float
    depth: float
    scanner: Scanner

    @property
    def _apex(self) -> float:
        return -0.25 * self.depth

    @property
    def first(self) -> float:
        return 0.30 * self.depth

    @property
    def last(self) -> float:
        return 1.23 * self.depth

    def to_image(self, beam: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.x + radius * np.sin(beam), self._apex + radius * np.cos(beam)

    def to_beam(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.arctan2(x - self.x, y - self._apex), np.hypot(x - self.x, y - self._apex)

    def covers(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        beam, radius = self.to_beam(x, y)
        return (np.abs(beam) < self.scanner.half_angle) & (radius > self.first) & (radius < self.last)


def _place_lesion(rng: np.random.Generator, probe: _Probe) -> Outline:
    beam = rng.uniform(-0.55, 0.55) * probe.scanner.half_angle
    radius = rng.uniform(0.5, 0.95) * probe.depth
    x, y = probe.to_image(np.array(beam), np.array(radius))
    return draw_outline(rng, float(x), float(y), rng.uniform(0.20, 0.32), rng.uniform(0.6, 0.95), 0.12)


def _tissue(rng: np.random.Generator, beams: np.ndarray, depths: np.ndarray, probe: _Probe) -> np.ndarray:
    """Echo in dB: slow variation, bright wavy layers parallel to the skin, and loss with depth."""
    fraction = (depths - probe.first) / (probe.last - probe.first)
    decibel = 3.5 * smooth_noise(rng, beams.shape, 0.10) + 1.5 * smooth_noise(rng, beams.shape, 0.03)
    decibel += 7 * np.exp(-(((fraction - 0.02) / 0.025) ** 2))
    for _ in range(rng.integers(3, 6)):
        wave = 0.03 * np.sin(beams * rng.uniform(2, 6) + rng.uniform(0, 6)) + 0.02 * smooth_noise(rng, beams.shape, 0.2)
        distance = (fraction - rng.uniform(0.06, 0.9) - wave) / rng.uniform(0.008, 0.02)
        breaks = 0.5 + 0.5 * np.tanh(2 * smooth_noise(rng, beams.shape, 0.08) + 1)
        decibel += rng.uniform(5, 11) * breaks * np.exp(-(distance**2))
    return decibel - probe.scanner.attenuation * fraction


def _distractors(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, lesion: Outline, probe: _Probe) -> np.ndarray:
    """Echo in dB of small cysts with a bright rim, of vessels, and of bright spots, all away from the lesion."""
    decibel = np.zeros_like(x)
    for _ in range(rng.integers(1, 4)):
        cyst = draw_outline(rng, *_anywhere(rng, probe), rng.uniform(0.02, 0.045), rng.uniform(0.7, 1), 0.03)
        level = cyst.level(x, y)
        decibel += -20 * inside_of(level, 0.08) + 6 * np.exp(-(((level - 1.15) / 0.12) ** 2))
    for _ in range(rng.integers(1, 3)):
        left, top = _anywhere(rng, probe)
        along, across = rotate(x - left, y - top, rng.uniform(-0.6, 0.6))
        offset = np.abs(across - 0.03 * np.sin(9 * along)) / rng.uniform(0.012, 0.022)
        ends = inside_of(np.abs(along) / rng.uniform(0.12, 0.25), 0.1)
        decibel += ends * (-14 * inside_of(offset, 0.2) + 5 * np.exp(-(((offset - 1.4) / 0.3) ** 2)))
    for _ in range(rng.integers(2, 7)):
        left, top = _anywhere(rng, probe)
        decibel += rng.uniform(8, 15) * np.exp(-(((x - left) / 0.012) ** 2) - ((y - top) / 0.006) ** 2)
    return decibel * (1 - inside_of(lesion.level(x, y) / 1.25, 0.1))


def _anywhere(rng: np.random.Generator, probe: _Probe) -> tuple[float, float]:
    beam = np.array(rng.uniform(-0.9, 0.9) * probe.scanner.half_angle)
    x, y = probe.to_image(beam, np.array(rng.uniform(0.4, 1.15) * probe.depth))
    return float(x), float(y)


def _shadows(
    rng: np.random.Generator, beams: np.ndarray, depths: np.ndarray, probe: _Probe, lesion: Outline
) -> np.ndarray:
    """Echo in dB of dark stripes below something near the skin, and of the stripe below the lesion."""
    decibel = np.zeros_like(beams)
    for _ in range(rng.integers(1, 4)):
        offset = np.abs(beams - rng.uniform(-0.95, 0.95) * probe.scanner.half_angle) / rng.uniform(0.02, 0.08)
        start = rng.uniform(0.3, 0.75) * probe.depth
        decibel -= rng.uniform(6, 14) * inside_of(offset, 0.3) * inside_of(start / depths, 0.03)
    beam, radius = probe.to_beam(np.array(lesion.x), np.array(lesion.y))
    half_width = 0.7 * lesion.radius / float(radius)
    below = inside_of(np.abs(beams - beam) / half_width, 0.2) * inside_of((radius + 0.8 * lesion.radius) / depths, 0.05)
    return decibel + rng.uniform(-5, 5) * below * (lesion.level(*probe.to_image(beams, depths)) > 1)


def _speckle(rng: np.random.Generator, decibel: np.ndarray) -> np.ndarray:
    """Envelope in dB of scatterers with this echo: complex normal amplitudes, blurred by the pulse (Rayleigh)."""
    amplitude = 10 ** (decibel / 20)
    field = [amplitude * rng.standard_normal(decibel.shape) for _ in range(2)]
    real, imaginary = (ndimage.gaussian_filter(part, (0.9, 1.8)) for part in field)
    # A blurred sum of unit noise has the standard deviation 1 / sqrt(4 π σ₁ σ₂).
    envelope = np.hypot(real, imaginary) * np.sqrt(4 * np.pi * 0.9 * 1.8)
    return 20 * np.log10(envelope + 1e-3)


def _to_sector(gray: np.ndarray, x: np.ndarray, y: np.ndarray, probe: _Probe) -> np.ndarray:
    beam, radius = probe.to_beam(x, y)
    column = (beam / probe.scanner.half_angle + 1) / 2 * (gray.shape[1] - 1)
    row = (radius - probe.first) / (probe.last - probe.first) * (gray.shape[0] - 1)
    image = ndimage.map_coordinates(gray, [row, column], order=1)
    return np.where(probe.covers(x, y), image, 0).round().astype(np.uint8)
