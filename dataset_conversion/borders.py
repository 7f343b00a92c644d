"""A class of its own for the rim of objects, so that objects that touch can be told apart from their labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.segmentation import find_boundaries

from medt_pipeline.core.errors import UserError

from .masks import MaskSource, ReadMask

INSIDE, BORDER = 1, 2


def mark_borders(objects: np.ndarray, width: int) -> np.ndarray:
    """Label the rim of each object 2 and its inside 1.

    The outermost pixels are those with a neighbour above, below, left or right that is not of their object; the rim are
    the pixels less than `width` from the nearest of them. What lies beyond the picture is no such neighbour: an object
    that the picture cuts has no rim there. An object without a pixel deep enough keeps its deepest ones as inside, so
    that none is lost.

    Args:
        objects: (H, W) object numbers, 0 for none.
        width: in pixels, 1 or more.

    Returns:
        (H, W) uint8: 0 outside, 1 inside, 2 rim.
    """
    rim = find_boundaries(objects, connectivity=1, mode="inner")
    labels = np.where(objects > 0, INSIDE, 0).astype(np.uint8)
    if not rim.any():
        return labels
    # depth 0 is the outermost pixel; the nearest rim pixel of any object is that of the pixel's own
    depth = ndimage.distance_transform_edt(~rim)
    labels[(objects > 0) & (depth < width)] = BORDER
    numbers = np.unique(objects[objects > 0])
    deepest = ndimage.maximum(depth, objects, numbers)
    shallow = numbers[deepest < width]
    limit = np.full(int(objects.max()) + 1, np.inf)
    limit[shallow] = deepest[deepest < width]
    labels[(objects > 0) & (depth >= limit[objects])] = INSIDE
    return labels


def explain_border(width: int) -> str:
    """For the summary."""
    return f"the outermost {width} pixels of each object are its border"


@dataclass(frozen=True, eq=False)
class BorderedMask:
    """A mask whose objects become inside (1) and rim (2) of `width` pixels.

    Raises:
        UserError: the width is below 1.
    """

    mask: MaskSource
    width: int

    def __post_init__(self) -> None:
        if self.width < 1:
            raise UserError(f"--border must be 1 pixel or more, got {self.width}; leave it out for no border.")

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the mask."""
        return self.mask.files

    def read(self, size: tuple[int, int]) -> ReadMask:
        """Labels 0, 1 and 2 in place of the mask's values; its objects stay.

        Raises:
            UserError: as for the mask.
        """
        read = self.mask.read(size)
        if read.objects is None:
            raise ValueError("a mask without objects has no borders")
        return replace(read, values=mark_borders(read.objects, self.width))
