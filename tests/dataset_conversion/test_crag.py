"""CRAG, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError

from .drawn import picture, save, square
from .drawn_releases import convert


def glands() -> np.ndarray:
    objects = square(1)
    objects[9:11, 1:5] = 7
    return objects


@pytest.mark.parametrize("test_part", ["valid", "test"])
def test_objects_and_parts(tmp_path: Path, test_part: str) -> None:
    root = tmp_path / "CRAG_v2" / "CRAG"
    for seed, (part, name) in enumerate((("train", "train_1"), ("train", "train_2"), (test_part, "test_1"))):
        save(root / part / "Images" / f"{name}.png", picture(seed))
        save(root / part / "Annotation" / f"{name}.png", glands())
        save(root / part / "Overlay" / f"{name}.png", picture(seed))
    save(root / test_part / "Annotation" / "test_41.png", glands())
    with pytest.raises(UserError, match=r"mask test_41\.png"):
        convert("crag", tmp_path / "CRAG_v2", tmp_path)
    done = convert("crag", tmp_path / "CRAG_v2", tmp_path, skip_unpaired=True)
    np.testing.assert_array_equal(done.label("train_2"), glands() > 0)
    np.testing.assert_array_equal(done.objects("test_1", "Ts"), glands())
    assert done.summary.left_out == ("mask test_41.png: no image",)
