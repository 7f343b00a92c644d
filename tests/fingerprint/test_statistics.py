from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from medt_pipeline.fingerprint.statistics import count_intensities, nonzero_box_shape, summarise_intensities

RNG = np.random.default_rng(0)


@given(arrays.arrays(np.uint8, st.integers(1, 300)))
def test_one_case_agrees_with_numpy(pixels: np.ndarray) -> None:
    counts = count_intensities(pixels.astype(np.float32), RNG)
    assert counts is not None
    summary = summarise_intensities([counts])
    assert summary["mean"] == pytest.approx(pixels.mean())
    assert summary["std"] == pytest.approx(pixels.std(), abs=1e-9)
    assert (summary["min"], summary["max"]) == (pixels.min(), pixels.max())
    inverted = np.percentile(pixels, [0.5, 50, 99.5], method="inverted_cdf")
    assert [summary[name] for name in ("percentile_00_5", "median", "percentile_99_5")] == inverted.tolist()


def test_every_case_has_the_same_weight() -> None:
    small, large = (count_intensities(np.full(size, value), RNG) for size, value in ((10, 0.0), (1000, 100.0)))
    assert summarise_intensities([small, large])["mean"] == 50


def test_other_than_whole_numbers_are_sampled_and_none_is_none() -> None:
    pixels = np.random.default_rng(1).normal(size=50_000)
    counts = count_intensities(pixels, np.random.default_rng(2))
    assert len(counts.values) == 10_000
    assert summarise_intensities([counts])["mean"] == pytest.approx(pixels.mean(), abs=0.05)
    assert count_intensities(np.zeros(0), RNG) is None


def test_box_around_what_is_not_black() -> None:
    image = np.zeros((3, 20, 30))
    assert nonzero_box_shape(image) == (20, 30)
    image[1, 4, 7] = image[2, 9, 21] = 1
    assert nonzero_box_shape(image) == (6, 15)
