"""Gray, palette and coloured pictures of one thing give the same mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from medt_pipeline.dataset_conversion.one_class_masks import OneClassMask

from .drawn import square


def test_every_form_gives_the_same(tmp_path: Path) -> None:
    drawn = square(1)
    palette = Image.fromarray(drawn, mode="P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    pictures = {
        "one": Image.fromarray(drawn > 0),
        "gray": Image.fromarray(square(255)),
        "palette": palette,
        "colour": Image.fromarray(np.stack([square(128), square(0), square(0)], axis=2)),
    }
    for name, image in pictures.items():
        image.save(tmp_path / f"{name}.PNG")
        np.testing.assert_array_equal(OneClassMask(tmp_path / f"{name}.PNG", 3).read(drawn.shape).values, 3 * drawn)
