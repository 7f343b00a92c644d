"""PSFHS and FH-PS-AOP, drawn small: channels stored as slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medt_pipeline.core.errors import UserError

from .drawn import picture
from .drawn_releases import convert


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(path))


def head() -> np.ndarray:
    mask = np.zeros((12, 15), dtype=np.uint8)
    mask[1:4, 1:5], mask[5:11, 6:14] = 1, 2
    return mask


def draw(root: Path) -> Path:
    for seed, name in enumerate(("03744", "03745")):
        write(root / "image_mha" / f"{name}.mha", np.moveaxis(picture(seed), 2, 0))
        write(root / "label_mha" / f"{name}.mha", head())
    return root


@pytest.mark.parametrize("key", ["psfhs", "fh-ps-aop"])
def test_channels_and_labels(tmp_path: Path, key: str) -> None:
    done = convert(key, draw(tmp_path / "unpacked" / "inner"), tmp_path)
    np.testing.assert_array_equal(done.image("03745"), picture(1))
    np.testing.assert_array_equal(done.label("03745"), head())
    assert done.labels == {"background": 0, "pubic symphysis": 1, "fetal head": 2}
    assert any("neither patients nor videos" in note for note in done.summary.notes) == (key == "fh-ps-aop")


def test_a_volume_is_no_picture(tmp_path: Path) -> None:
    source = draw(tmp_path / "PSFHS")
    write(source / "image_mha" / "03744.mha", np.zeros((5, 12, 15), dtype=np.uint8))
    with pytest.raises(UserError, match=r"03744\.mha has 5 slices"):
        convert("psfhs", source, tmp_path)
