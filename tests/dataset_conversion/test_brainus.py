"""The published code's layout with gray levels as classes; medt_layout's own tests hold the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .drawn import picture, save
from .drawn_releases import convert


def draw(root: Path) -> tuple[Path, np.ndarray]:
    levels = np.zeros((12, 15), dtype=np.uint8)
    levels[1:5, 1:6], levels[6:11, 7:14] = 128, 255
    for seed, part in enumerate(("train", "val", "test")):
        save(root / part / "img" / f"{part}.png", picture(seed, channels=1))
        save(root / part / "labelcol" / f"{part}.png", levels)
    return root, levels


def test_gray_levels_become_classes(tmp_path: Path) -> None:
    source, levels = draw(tmp_path / "us")
    done = convert("brainus", source, tmp_path)
    np.testing.assert_array_equal(done.label("train"), np.searchsorted([0, 128, 255], levels))
    assert (done.summary.training_cases, done.summary.test_masks) == (2, 1)
    assert done.summary.channels == "gray"


def test_named_levels(tmp_path: Path) -> None:
    source, levels = draw(tmp_path / "us")
    done = convert("brainus", source, tmp_path, labels="septum=255,ventricle=128")
    assert done.labels == {"background": 0, "septum": 1, "ventricle": 2}
    np.testing.assert_array_equal(done.label("val"), np.select([levels == 255, levels == 128], [1, 2], 0))


def test_the_published_cut_stays_with_medt(tmp_path: Path) -> None:
    source, levels = draw(tmp_path / "us")
    done = convert("medt", source, tmp_path)
    np.testing.assert_array_equal(done.label("val"), levels > 127)
