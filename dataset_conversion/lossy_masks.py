"""Masks that were saved as JPEG: black and white with rings of gray along the edges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image

from .masks import ReadMask

ABOVE = 127
"""Half way between black and white, so that edges stay where they were drawn."""

MOST_DOUBTFUL = 0.02
"""Share of pixels that may lie in the middle half of the gray levels: more, and the picture is no mask."""

READING = f"JPEG pictures, of which what is brighter than {ABOVE} counts as 1"


@dataclass(frozen=True)
class LossyMask:
    """A mask picture in any format that `core.images.read_image` reads, cut at `ABOVE`."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """1 where the picture is bright, 0 where it is dark; of colours the mean of the channels counts.

        Raises:
            UserError: as for `core.images.read_image`; the picture has more than 8 bits, or too many pixels are neither
                black nor white (`MOST_DOUBTFUL`).
        """
        picture = read_image(self.path)
        if picture.dtype != np.uint8:
            raise UserError(f"{self.path} holds {picture.dtype} pixels, but a mask of 8 bits was expected.")
        gray = picture if picture.ndim == 2 else picture.mean(axis=2)
        doubtful = float(((gray > 64) & (gray < 191)).mean())
        if doubtful > MOST_DOUBTFUL:
            raise UserError(
                f"{self.path} is neither black nor white in {doubtful:.0%} of its pixels, so it is no mask; replace it."
            )
        return ReadMask((gray > ABOVE).astype(np.uint8))
