"""Masks saved as JPEG against what was drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.draw import disk

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.lossy_masks import LossyMask

from .drawn import picture


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.integers(35, 60), st.integers(35, 85)), st.integers(12, 30), st.integers(70, 95), st.booleans())
def test_a_drawn_mask_survives_jpeg(
    tmp_path_factory: pytest.TempPathFactory, centre: tuple[int, int], radius: int, quality: int, colour: bool
) -> None:
    drawn = np.zeros((96, 120), dtype=np.uint8)
    drawn[disk(centre, radius, shape=drawn.shape)] = 255
    path = tmp_path_factory.mktemp("jpeg") / "mask.jpg"
    saved = np.repeat(drawn[..., np.newaxis], 3, axis=2) if colour else drawn
    Image.fromarray(saved).save(path, quality=quality)
    read = LossyMask(path).read(drawn.shape).values
    # no bias, and nothing wrong but at the edge
    assert read.sum() == pytest.approx((drawn > 0).sum(), rel=0.01)
    assert (read != (drawn > 0)).sum() <= 0.1 * 2 * np.pi * radius


def test_a_photograph_is_no_mask(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(1, (40, 50))).save(path)
    with pytest.raises(UserError, match=r"photo\.jpg is neither black nor white in \d+% of its pixels"):
        LossyMask(path).read((40, 50))
