from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medt_pipeline.evaluation.uncertainty import as_picture, disagreement, entropy


@given(st.integers(2, 5), st.integers(0, 10**6))
def test_entropy_equals_scipys(classes: int, seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(classes), 6).T
    assert entropy(p) == pytest.approx(stats.entropy(p, base=classes), abs=1e-9)


def test_disagreement_is_of_members_that_differ_only() -> None:
    unsure = np.array([[0.5, 0.0], [0.5, 1.0]])
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    opposite = sure[::-1]
    assert disagreement(entropy(unsure), entropy(unsure)) == pytest.approx([0, 0])
    mean = (sure + opposite) / 2
    assert disagreement(entropy(mean), (entropy(sure) + entropy(opposite)) / 2) == pytest.approx([1, 1], abs=1e-9)


def test_pictures_span_eight_bits() -> None:
    assert as_picture(np.array([0.0, 0.5, 1.0, 1.2])).tolist() == [0, 128, 255, 255]
