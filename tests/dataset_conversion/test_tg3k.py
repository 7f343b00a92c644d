"""TG3K, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .drawn import picture
from .drawn_releases import convert
from .test_tn3k import jpeg, nodule


def test_frames_and_masks(tmp_path: Path) -> None:
    for number in range(2):
        jpeg(tmp_path / "tg3k" / "thyroid-image" / f"{number:04d}.jpg", picture(number, (48, 64)))
        jpeg(tmp_path / "tg3k" / "thyroid-mask" / f"{number:04d}.jpg", nodule())
    done = convert("tg3k", tmp_path / "tg3k", tmp_path)
    np.testing.assert_array_equal(done.label("0001"), nodule() > 0)
    assert done.labels == {"background": 0, "thyroid": 1}
    assert any("frames of few videos" in note for note in done.summary.notes)
