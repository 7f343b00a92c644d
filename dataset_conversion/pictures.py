"""Where the image of a case comes from: a picture file, or whatever else a converter can turn into pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from medt_pipeline.core.images import read_image
from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.core.pixel_size_of_files import read_pixel_size


class Picture(Protocol):
    """The image of a case; it is read when its turn comes and may be read again."""

    @property
    def file(self) -> Path:
        """The file that messages and tables name."""
        ...

    def read(self) -> np.ndarray:
        """(H, W) gray or (H, W, 3) RGB integers, the same at every call.

        Raises:
            UserError: the pixels cannot be read; the sentence names the file and what to do.
        """
        ...

    def pixel_size(self) -> PixelSize | None:
        """The size of a pixel, None where nothing tells it; raises nothing."""
        ...


@dataclass(frozen=True)
class PictureFile:
    """A picture file as `core.images.read_image` reads it.

    Attributes:
        path: the file.
        told_size: size of a pixel that a table beside the file tells; None asks the file itself.
    """

    path: Path
    told_size: PixelSize | None = None

    @property
    def file(self) -> Path:
        """The file."""
        return self.path

    def read(self) -> np.ndarray:
        """(H, W) gray or (H, W, 3) RGB in the dtype of the file.

        Raises:
            UserError: as for `core.images.read_image`.
        """
        return read_image(self.path)

    def pixel_size(self) -> PixelSize | None:
        """`told_size`, else what the file tells (`core.pixel_size.read_pixel_size`)."""
        return self.told_size or read_pixel_size(self.path)
