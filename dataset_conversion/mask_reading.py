"""From a mask file to the values that the label rules look at: as stored, cut at a threshold, or as objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_mask

from .label_mapping import to_values

MOST_OBJECTS = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class MaskReading:
    """How the masks of a data set are to be understood.

    Attributes:
        threshold: values above it become 1, all others 0; None leaves the values alone.
        instances: every nonzero value (or colour but black) is one object and becomes 1.
    """

    threshold: int | None = None
    instances: bool = False

    def __post_init__(self) -> None:
        if self.instances and self.threshold is not None:
            raise UserError("--threshold and --instances exclude each other; give the one that fits the masks.")
        if self.threshold is not None and self.threshold < 0:
            raise UserError(f"--threshold must be 0 or more, got {self.threshold}.")

    def read(self, path: Path) -> np.ndarray:
        """Read a mask: (H, W) integers, or (H, W, 3) for colours where neither option turns them into 0 and 1.

        Raises:
            UserError: as for `core.images.read_mask`; a coloured mask under a threshold.
        """
        mask = _read(path)
        if self.instances:
            return (to_values(mask, coloured=False) != 0).astype(np.uint8)
        if self.threshold is None:
            return mask
        if mask.ndim == 3:
            raise UserError(
                f"{path} is a colour picture, for which a threshold says nothing; "
                "use medt_convert folder and name the colours with --labels name=#RRGGBB,…"
            )
        return (mask > self.threshold).astype(np.uint8)

    def explain(self) -> str:
        """What happens to the values before the label rules see them."""
        if self.instances:
            return "every nonzero value is one object and counts as 1"
        if self.threshold is not None:
            return f"values above {self.threshold} count as 1, all others as 0"
        return "as stored"


def read_objects(path: Path) -> np.ndarray:
    """Read the object numbers of an instance mask: (H, W) uint8, or uint16 where a number needs it; 0 is no object.

    Numbers are kept where they fit; larger ones and colours are numbered 1, 2, … in ascending order.

    Raises:
        UserError: as for `core.images.read_mask`; more than 65535 objects.
    """
    mask = _read(path)
    values = to_values(mask, coloured=False)
    if mask.ndim == 3 or values.min() < 0 or values.max() > MOST_OBJECTS:
        objects = np.unique(values[values != 0])
        if len(objects) > MOST_OBJECTS:
            raise UserError(f"{path} holds {len(objects)} objects; at most {MOST_OBJECTS} can be kept in one mask.")
        values = np.where(values == 0, 0, np.searchsorted(objects, values) + 1)
    return values.astype(np.uint8 if values.max() <= np.iinfo(np.uint8).max else np.uint16)


def _read(path: Path) -> np.ndarray:
    mask = read_mask(path)
    if mask.ndim == 3 and mask.max() > np.iinfo(np.uint8).max:
        raise UserError(f"{path} holds colours of 16 bits a channel; save the mask with 8 bits a channel.")
    return mask
