"""BUS-UCLM, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .drawn import picture, save, square
from .drawn_releases import convert


def coloured(channel: int | None) -> np.ndarray:
    mask = np.zeros((12, 15, 3), dtype=np.uint8)
    if channel is not None:
        mask[..., channel] = square()
    return mask


def draw(root: Path) -> Path:
    content = {"ALWI_000": 1, "ALWI_001": None, "COPE_000": 0}
    for seed, (name, channel) in enumerate(content.items()):
        save(root / "BUS-UCLM" / "images" / f"{name}.png", picture(seed))
        save(root / "BUS-UCLM" / "masks" / f"{name}.png", coloured(channel))
    rows = ["Image;Patient;Label;Doppler;Marks;Combined", "COPE_000.png;COPE;Malignant;Yes;No;No"]
    (root / "BUS-UCLM" / "INFO.csv").write_text("\n".join(rows))
    return root


def test_green_red_and_black(tmp_path: Path) -> None:
    done = convert("bus-uclm", draw(tmp_path), tmp_path, classes="benign+malignant")
    assert done.labels == {"background": 0, "benign": 1, "malignant": 2}
    for name, value in {"ALWI_000": 1, "ALWI_001": 0, "COPE_000": 2}.items():
        np.testing.assert_array_equal(done.label(name), square(value))
    assert done.groups == {"ALWI_000": "ALWI", "ALWI_001": "ALWI", "COPE_000": "COPE"}
    assert done.summary.empty_masks == 1
    assert done.cases["COPE_000"].facts == {"label": "malignant", "doppler": "yes", "marks": "no", "combined": "no"}


def test_one_label_for_both(tmp_path: Path) -> None:
    done = convert("bus-uclm", draw(tmp_path), tmp_path)
    assert done.labels == {"background": 0, "lesion": 1}
    np.testing.assert_array_equal(done.label("COPE_000"), square(1))
