"""Pages come back as they were, by another reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from medt_pipeline.clips.label_stack import label_stack


@pytest.mark.parametrize("pixels", [4 * 30 * 41, None])
def test_pages(tmp_path: Path, pixels: int | None) -> None:
    drawn = np.random.default_rng(0).integers(0, 4, (4, 30, 41)).astype(np.uint8)
    with label_stack(tmp_path / "a.tif", pixels) as add:
        for index, labels in enumerate(drawn):
            add(index, labels)
        assert not (tmp_path / "a.tif").exists()
    with Image.open(tmp_path / "a.tif") as file:
        read = np.stack([np.asarray(page) for page in ImageSequence.Iterator(file)])
    np.testing.assert_array_equal(read, drawn)


def test_nothing_is_left_of_an_unfinished_one(tmp_path: Path) -> None:
    with pytest.raises(KeyError), label_stack(tmp_path / "a.tif", None) as add:
        add(0, np.zeros((4, 4), np.uint8))
        raise KeyError
    assert not list(tmp_path.iterdir())
