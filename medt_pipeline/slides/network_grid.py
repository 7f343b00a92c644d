"""Where the pixels and patches of a network lie on a slide, whichever block of it is looked at.

nnU-Net brings an image to the network's spacing, lays patches over it, and brings the logits back. Sizes, positions of
patches and interpolation depend on the image as a whole, so all are derived from the slide's size here: blocks then
compute what one image as large as the slide would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window
from scipy import ndimage

from medt_pipeline.core.slides import Window

STEP = 0.5
"""Of a patch's side, between two patches: nnU-Net's."""
SPLINE_MARGIN = 16
"""Pixels after which a cubic spline has forgotten a border: it falls by 0.27 a pixel."""


@dataclass(frozen=True)
class NetworkGrid:
    """The slide in the pixels of a network.

    Attributes:
        size: (height, width) of the slide in pixels of the training images.
        spacing: pixels of the training images for one of the network's, down and across.
        patch: (height, width) of a patch in pixels of the network.
    """

    size: tuple[int, int]
    spacing: tuple[float, float]
    patch: tuple[int, int]

    @property
    def network_size(self) -> tuple[int, int]:
        """(height, width) of the slide in pixels of the network."""
        down, across = (max(1, round(side / one)) for side, one in zip(self.size, self.spacing, strict=True))
        return down, across

    @property
    def step(self) -> tuple[float, float]:
        """Pixels of the training images for one of the network's, as rounding of the size leaves it."""
        down, across = (side / short for side, short in zip(self.size, self.network_size, strict=True))
        return down, across

    def network_window(self, window: Window) -> Window:
        """The network's pixels between which those of `window`, in pixels of the training images, are interpolated."""
        (top, bottom), (left, right) = (
            (
                max(0, math.floor((first + 0.5) / step - 0.5)),
                min(length, math.ceil((last - 0.5) / step - 0.5) + 1),
            )
            for first, last, step, length in zip(
                (window.top, window.left), (window.bottom, window.right), self.step, self.network_size, strict=True
            )
        )
        return Window(top, left, bottom, right)

    def image_window(self, window: Window, margin: int = 0) -> Window:
        """The training images' pixels under `window`, in pixels of the network, with a margin, cut to the slide."""
        (top, bottom), (left, right) = (
            (math.floor(first * step), math.ceil(last * step))
            for first, last, step in zip(
                (window.top, window.left), (window.bottom, window.right), self.step, strict=True
            )
        )
        return Window(top, left, bottom, right).grown(margin, self.size)

    def patches(self, window: Window) -> list[Window]:
        """The patches that share pixels with `window`, in pixels of the network.

        On a slide smaller than a patch they begin before its first pixel, as nnU-Net pads it.
        """
        padded = [max(side, one) for side, one in zip(self.network_size, self.patch, strict=True)]
        rows, columns = (
            [start - (wide - side) // 2 for start in starts]
            for starts, wide, side in zip(
                compute_steps_for_sliding_window(tuple(padded), self.patch, STEP),
                padded,
                self.network_size,
                strict=True,
            )
        )
        height, width = self.patch
        return [
            Window(top, left, top + height, left + width)
            for top in rows
            if top < window.bottom and top + height > window.top
            for left in columns
            if left < window.right and left + width > window.left
        ]

    def to_network(self, picture: np.ndarray, shown: Window, window: Window) -> np.ndarray:
        """`picture`, (h, w, channels) uint8 that shows the window `shown` of the training images' pixels, as planes
        (channels, h, w) of the network's pixels of `window`: cubic splines, as nnU-Net resamples images.

        What a spline overshoots is cut to 0 to 255 (nnU-Net: to the range of the image). Where network and training
        images have the same pixels, these are given as they are, in uint8.
        """
        if self.step == (1.0, 1.0):
            return picture[window.within(shown)].transpose(2, 0, 1)
        offset = [
            (first + 0.5) * step - 0.5 - origin
            for first, step, origin in zip((window.top, window.left), self.step, (shown.top, shown.left), strict=True)
        ]
        planes = [
            ndimage.affine_transform(
                picture[..., channel].astype(np.float32), self.step, offset, window.shape, np.float32, 3, "nearest"
            )
            for channel in range(picture.shape[-1])
        ]
        return np.stack(planes).clip(0, 255)

    def to_image(self, planes: np.ndarray, shown: Window, window: Window) -> np.ndarray:
        """`planes`, (C, h, w) that show the window `shown` of the network's pixels, at the training images' pixels of
        `window`: linear, as nnU-Net resamples logits."""
        if self.step == (1.0, 1.0):
            rows, columns = window.within(shown)
            return planes[:, rows, columns]
        for axis, (first, last, origin, step, length) in enumerate(
            zip(
                (window.top, window.left),
                (window.bottom, window.right),
                (shown.top, shown.left),
                self.step,
                self.network_size,
                strict=True,
            ),
            start=1,
        ):
            place = np.clip((np.arange(first, last) + 0.5) / step - 0.5, 0, length - 1)
            below = np.floor(place).astype(int)
            above = np.minimum(below + 1, length - 1)
            share = (place - below).astype(planes.dtype).reshape((-1, 1) if axis == 1 else (1, -1))
            low, high = (
                planes.take(below - origin, axis),
                planes.take(np.minimum(above - origin, planes.shape[axis] - 1), axis),
            )
            planes = low + share * (high - low)
        return planes
