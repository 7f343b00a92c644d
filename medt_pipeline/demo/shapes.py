"""What drawn images are made of: coordinates, closed outlines, soft edges and smooth noise.

Lengths are in units of the image's shorter side; x runs to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SMALLEST_SIDE = 64
"""Shorter side in pixels below which nuclei and speckle fall below one pixel."""


@dataclass(frozen=True)
class Outline:
    """A closed smooth curve around a centre: radius by angle as a mean and harmonics, squeezed along one direction.

    Attributes:
        radius: mean radius.
        aspect: short over long axis, 0 to 1.
        direction: angle of the long axis in radians.
        harmonics: (n, 2) amplitude relative to the radius, and phase, of the waves 2, 3, ….
    """

    x: float
    y: float
    radius: float
    aspect: float
    direction: float
    harmonics: np.ndarray

    def level(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance from the centre over the distance of the curve in that direction: below 1 inside."""
        along, across = rotate(x - self.x, y - self.y, self.direction)
        across = across / self.aspect
        angle = np.arctan2(across, along)
        waves = np.arange(2, 2 + len(self.harmonics))[:, None]
        ripple = (self.harmonics[:, :1] * np.cos(waves * angle.ravel() + self.harmonics[:, 1:])).sum(0)
        return np.hypot(along, across) / (self.radius * (1 + ripple.reshape(angle.shape)))

    def point(self, angle: float, level: float) -> tuple[float, float]:
        """The x and y at `level`, at `angle` of the unsqueezed shape."""
        waves = np.arange(2, 2 + len(self.harmonics))
        ripple = (self.harmonics[:, 0] * np.cos(waves * angle + self.harmonics[:, 1])).sum()
        distance = level * self.radius * (1 + ripple)
        along, across = distance * np.cos(angle), distance * np.sin(angle) * self.aspect
        cos, sin = np.cos(self.direction), np.sin(self.direction)
        return self.x + along * cos - across * sin, self.y + along * sin + across * cos


def draw_outline(
    rng: np.random.Generator, x: float, y: float, radius: float, aspect: float, roughness: float
) -> Outline:
    """Random outline around (x, y); `roughness` is the amplitude of the first harmonic relative to the radius."""
    amplitudes = rng.normal(0, roughness, 5) / np.arange(1, 6)
    phases = rng.uniform(0, 2 * np.pi, 5)
    return Outline(x, y, radius, aspect, rng.uniform(0, np.pi), np.stack([amplitudes.clip(-0.2, 0.2), phases], axis=1))


def check_size(height: int, width: int) -> None:
    """Raise a ValueError for images that are too small to draw in."""
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(f"size must be at least {SMALLEST_SIDE} × {SMALLEST_SIDE}, got {height} × {width}")


def coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y, each (height, width), of the pixels."""
    y, x = np.indices((height, width)) / min(height, width)
    return x, y


def rotate(x: np.ndarray, y: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across a direction."""
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def inside_of(level: np.ndarray, softness: float) -> np.ndarray:
    """1 where `level` is below 1, 0 above, with a soft edge."""
    return 0.5 - 0.5 * np.tanh((level - 1) / softness)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Noise of mean 0 and standard deviation 1 whose blobs have about `scale` times the shorter side."""
    spectrum = np.fft.rfft2(rng.standard_normal(shape))  # much quicker than a wide filter in space
    noise = np.fft.irfft2(ndimage.fourier_gaussian(spectrum, scale * min(shape), n=shape[1]), s=shape)
    return (noise - noise.mean()) / noise.std()
