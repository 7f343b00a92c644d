from __future__ import annotations

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.inference.inputs import require_scale, to_planes

BY_255 = ("RGBTo01Normalization",) * 3


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (np.full((4, 4), 256, np.uint16), "values from 256 to 256"),
        (np.full((4, 4), -1, np.int16), "values from -1 to -1"),
        (np.full((4, 4), 0.5), "fractions up to 0.5"),
    ],
)
def test_other_scales_are_refused_where_levels_are_divided_by_255(picture: np.ndarray, sentence: str) -> None:
    with pytest.raises(UserError, match=f"a.tif has {sentence}"):
        require_scale(picture, BY_255, "a.tif")
    require_scale(picture, ("ZScoreNormalization",), "a.tif")


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4)), np.ones((4, 4), np.uint8), np.full((4, 4), 255.0), np.full((4, 4), 1.5), np.zeros((0, 4))],
    ids=["black", "nearly black levels", "white", "fractions above 1", "empty"],
)
def test_levels_pass(picture: np.ndarray) -> None:
    require_scale(picture, BY_255, "a.tif")


def test_planes_are_channels_first() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    planes = to_planes(picture, 3, "a")
    assert (planes.shape, planes.dtype) == ((3, 1, 2, 4), np.float32)
    assert np.array_equal(planes[1, 0], picture[..., 1])
    assert to_planes(picture[..., :1], 1, "a").shape == (1, 1, 2, 4)
