"""COCO's run lengths, against masks that pycocotools 2.0.11 encoded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.dataset_conversion.annotations.run_lengths import check_counts, decode_counts, decode_text
from tests.dataset_conversion.annotations.writers import counts_of, text_of

NOISE = [
    [0, 1, 1, 1, 0],
    [0, 0, 0, 0, 0],
    [0, 1, 0, 1, 0],
    [1, 0, 0, 1, 1],
    [1, 1, 0, 0, 0],
    [1, 0, 0, 0, 0],
    [0, 1, 1, 0, 0],
]


def decoded(counts: list[int], size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    patch = decode_counts(check_counts(counts, size), size)
    mask[patch.window] = patch.inside
    return mask


def _reference_ellipse() -> np.ndarray:
    y, x = np.indices((40, 30))
    hole = (y - 18) ** 2 + (x - 12) ** 2 < 9
    return ((y - 20) ** 2 / 200 + (x - 14) ** 2 / 90 < 1) & ~hole


def _reference_corners() -> np.ndarray:
    mask = np.zeros((3000, 2000), dtype=bool)
    mask[2990:, 5:7] = True
    mask[:3, 1999] = True
    return mask


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("331N00000140L05OM", np.array(NOISE, dtype=bool)),
        ("h69l06K4M2M4N_OF49MG48LH47MI46LJ46?1N101N102L3N3L5JS7", _reference_ellipse()),
        ("Vba0:^m20bPYf5IeofYJ", _reference_corners()),
        ("h0", np.zeros((4, 6), dtype=bool)),
        ("0h0", np.ones((4, 6), dtype=bool)),
    ],
    ids=["noise", "ellipse with a hole", "corners of a large mask", "empty", "full"],
)
def test_masks_of_pycocotools(text: str, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(decoded(decode_text(text), expected.shape), expected)
    assert text_of(counts_of(expected)) == text


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_any_mask(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    np.testing.assert_array_equal(decoded(counts_of(mask), mask.shape), mask)
    assert decode_text(text_of(counts_of(mask))) == counts_of(mask)


def test_counts_of_zero() -> None:
    np.testing.assert_array_equal(decoded([1, 2, 0, 1, 0, 0, 4], (8, 1))[:, 0], [0, 1, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("text", ["o", " ", "é", "Q", "oooooooooo0"], ids=["open", "below", "above", "open 2", "long"])
def test_broken_text(text: str) -> None:
    with pytest.raises(ValueError, match="compressed counts"):
        decode_text(text)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, 4], "add up to 7 pixels, but 3×2"),
        ([7, -1], "whole numbers"),
        ([1.5, 4.5], "whole numbers"),
        ([[6]], "whole"),
    ],
)
def test_impossible_counts(counts: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_counts(counts, (2, 3))
