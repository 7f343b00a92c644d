from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from medt_pipeline.core.levels import to_levels
from medt_pipeline.fingerprint.intensity import measure_intensity


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12))))
def test_agrees_with_numpy(image: np.ndarray) -> None:
    for facts, channel in zip(measure_intensity(to_levels(image)), image / 255, strict=True):
        assert facts.mean == pytest.approx(channel.mean())
        assert facts.std == pytest.approx(channel.std(), abs=1e-9)
        expected = np.percentile(channel, [1, 50, 99], method="inverted_cdf")
        assert (facts.p01, facts.median, facts.p99) == pytest.approx(tuple(expected))


def test_the_scale_is_that_of_the_bit_depth() -> None:
    (facts,) = measure_intensity(to_levels(np.array([[[0.0, 4095.0]]])))
    assert (facts.mean, facts.std) == (0.5, 0.5)
