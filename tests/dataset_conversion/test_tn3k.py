"""TN3K, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .drawn import picture
from .drawn_releases import convert


def jpeg(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)


def nodule() -> np.ndarray:
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[8:32, 16:40] = 255
    return mask


def test_parts_names_and_masks(tmp_path: Path) -> None:
    root = tmp_path / "Thyroid Dataset" / "tn3k"
    for seed, (part, number) in enumerate((("trainval", 0), ("trainval", 1), ("test", 0))):
        jpeg(root / f"{part}-image" / f"{number:04d}.jpg", picture(seed, (48, 64)))
        jpeg(root / f"{part}-mask" / f"{number:04d}.jpg", nodule())
    (root / "tn3k-trainval-fold0.json").write_text('{"train": [0], "val": [1]}')
    done = convert("tn3k", tmp_path / "Thyroid Dataset", tmp_path)
    assert set(done.groups) == {"trainval_0000", "trainval_0001", "test_0000"}
    # the edges lie on the borders of JPEG's blocks, so nothing is lost
    np.testing.assert_array_equal(done.label("trainval_0001"), nodule() > 0)
    np.testing.assert_array_equal(done.label("test_0000", "Ts"), nodule() > 0)
    assert done.labels == {"background": 0, "nodule": 1}
