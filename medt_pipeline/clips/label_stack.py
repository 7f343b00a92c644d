"""The masks of a video as one TIFF with a page a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile

from medt_pipeline.core.files import atomic_path

AddLabels = Callable[[int, np.ndarray], None]
"""Takes the index of a frame, from 0, and its labels (H, W), uint8; frames come in their order."""
MOST_CLASSIC_BYTES = 2**31
"""Pixels from which on the file may outgrow the 4 GiB of a classic TIFF."""


@contextmanager
def label_stack(file: Path, pixels: int | None) -> Iterator[AddLabels]:
    """Write labels page by page, without loss (deflate); the file has its name at the end, and is absent on any error.

    Args:
        pixels: of all frames together; None where the number of frames is not known.
    """
    large = pixels is None or pixels > MOST_CLASSIC_BYTES
    with atomic_path(file) as temporary, tifffile.TiffWriter(temporary, bigtiff=large) as writer:

        def add(index: int, labels: np.ndarray) -> None:
            writer.write(labels, photometric="minisblack", compression="zlib", metadata=None, software=False)

        yield add
