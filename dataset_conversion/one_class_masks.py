"""Mask pictures that show where something is, while what it is stands in a table or is the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.images import read_mask

from .label_mapping import to_values
from .masks import ReadMask

READING = "every pixel that is not 0 or black counts"


@dataclass(frozen=True)
class OneClassMask:
    """A mask picture, gray, palette or coloured, of which every pixel that is not 0 or black gets the value `label`."""

    path: Path
    label: int = 1

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """`label` where the picture shows something, else 0.

        Raises:
            UserError: as for `core.images.read_mask`.
        """
        shown = to_values(read_mask(self.path), coloured=False) != 0
        return ReadMask(np.where(shown, self.label, 0).astype(np.uint8))
