"""TNBC, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .drawn import picture, save, square
from .drawn_releases import convert


def test_slides_and_masks(tmp_path: Path) -> None:
    root = tmp_path / "download" / "TNBC_NucleiSegmentation"
    for seed, name in enumerate(("01_1", "01_2", "02_1")):
        opaque = np.full((12, 15, 1), 255, dtype=np.uint8)
        save(root / f"Slide_{name[:2]}" / f"{name}.png", np.concatenate([picture(seed), opaque], axis=2))
        save(root / f"GT_{name[:2]}" / f"{name}.png", square())
    # what macOS adds to archives
    save(tmp_path / "download" / "__MACOSX" / "Slide_01" / "._01_1.png", square())
    done = convert("tnbc", tmp_path / "download", tmp_path)
    assert done.groups == {"01_1": "Slide_01", "01_2": "Slide_01", "02_1": "Slide_02"}
    np.testing.assert_array_equal(done.image("02_1"), picture(2))
    np.testing.assert_array_equal(done.label("02_1"), square(1))
    assert not (done.folder / "instancesTr").exists()
