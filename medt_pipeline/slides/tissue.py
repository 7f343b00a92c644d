"""Where tissue lies on a slide, found on a thumbnail: stained pixels by Otsu's threshold of their colourfulness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from medt_pipeline.core.slides import Slide, Window
from medt_pipeline.postprocessing.steps import fill_holes, remove_small_objects

THUMBNAIL_SIDE = 2048
LEAST_COLOUR = 8.0
"""Difference between the channels, of 255, that glass shows as well: below, Otsu would part glass from glass."""
MOST_COLOUR = 30.0
"""Difference that no glass shows: above, Otsu would part tissue from tissue on a slide without glass."""
SMOOTHING = 2.0
"""Standard deviation in pixels of the thumbnail: dust and the noise of JPEG go."""
SMALLEST_SHARE = 1e-5
"""Of the thumbnail's area: smaller pieces of tissue are dirt."""
LARGEST_HOLE_SHARE = 1e-3
"""Of the thumbnail's area: smaller holes, such as lumina and fat, belong to the tissue."""
MARGIN = 3
"""Pixels of the thumbnail by which tissue is widened, so that its outline is not lost."""


@dataclass(frozen=True, eq=False)
class Tissue:
    """Where to predict.

    Attributes:
        mask: (h, w) bool over the whole slide.
        picture: the thumbnail, (h, w, 3) uint8.
        rule: how the tissue was found, as a sentence.
    """

    mask: np.ndarray
    picture: np.ndarray
    rule: str

    @property
    def share(self) -> float:
        """Of the slide's area, 0 to 1."""
        return float(self.mask.mean())

    def touches(self, window: Window, size: tuple[int, int]) -> bool:
        """Whether any tissue lies in a window of the slide in a grid of `size` (height, width)."""
        rows, columns = (
            slice(int(first * side / length), int(np.ceil(last * side / length)))
            for first, last, side, length in zip(
                (window.top, window.left), (window.bottom, window.right), self.mask.shape, size, strict=True
            )
        )
        return bool(self.mask[rows, columns].any())

    def inside(self, window: Window, size: tuple[int, int]) -> np.ndarray:
        """(h, w) bool: pixels of a window of a grid of `size` whose centres lie in tissue."""
        rows, columns = (
            ((np.arange(first, last) + 0.5) * side / length).astype(int)
            for first, last, side, length in zip(
                (window.top, window.left), (window.bottom, window.right), self.mask.shape, size, strict=True
            )
        )
        return self.mask[np.ix_(rows, columns)]


def find_tissue(slide: Slide, whole: bool = False) -> Tissue:
    """Find the tissue of a slide.

    A pixel's colour is the difference between its highest and its lowest channel, smoothed; tissue has more of it than
    Otsu's threshold, which is held between `LEAST_COLOUR` and `MOST_COLOUR`. Pieces of dirt go, small holes are closed,
    and the rest is widened a little. A slide without any colour, such as a gray one, counts as tissue as a whole.

    Args:
        whole: take the whole slide as tissue.
    """
    picture, _ = slide.thumbnail(THUMBNAIL_SIDE)
    if whole:
        return Tissue(np.ones(picture.shape[:2], bool), picture, "the whole slide, as asked for")
    mask = tissue_mask(picture)
    if not mask.any():
        return Tissue(~mask, picture, "the whole slide, since nothing on it has a colour")
    return Tissue(mask, picture, "coloured pixels of the thumbnail by Otsu's threshold, small holes closed")


def tissue_mask(picture: np.ndarray) -> np.ndarray:
    """(h, w) bool tissue of a thumbnail (h, w, 3) uint8, by the rule of `find_tissue`; nothing where all is gray."""
    colour = picture.max(2).astype(np.float32) - picture.min(2)
    colour = ndimage.gaussian_filter(colour, SMOOTHING)
    if colour.max() <= LEAST_COLOUR:
        return np.zeros(colour.shape, bool)
    mask = colour > np.clip(threshold_otsu(colour), LEAST_COLOUR, MOST_COLOUR)
    mask = remove_small_objects(mask, SMALLEST_SHARE * mask.size)
    mask = fill_holes(mask, LARGEST_HOLE_SHARE * mask.size)
    return np.asarray(ndimage.binary_dilation(mask, iterations=MARGIN), bool)
