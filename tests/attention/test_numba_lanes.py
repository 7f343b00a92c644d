"""The hand-written instructions of the Numba kernels."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from medt_pipeline.attention.numba_lanes import (
    LANE_BITS,
    exp2,
    load,
    load_pair,
    load_quad,
    maximum,
    pointer,
    store,
    store_pair,
    store_quad,
    widen,
)

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@njit
def apply_exp2(zero, memory, registers):
    w = pointer(memory, zero)
    for register in range(registers):
        store(w, register, exp2(load(w, register)))


@njit
def apply_maximum(zero, first, second):
    store(pointer(first, zero), 0, maximum(load(pointer(first, zero), 0), load(pointer(second, zero), 0)))


@njit
def transpose_quads_and_back(zero, source, starts, middle, target):
    rows = pointer(starts, 0)
    s0, s1, s2, s3 = load_quad(pointer(source, zero), rows, 1)
    w = pointer(middle, zero)
    store(w, 0, s0)
    store(w, 1, s1)
    store(w, 2, s2)
    store(w, 3, s3)
    store_quad(pointer(target, zero), rows, 1, s0, s1, s2, s3)


@njit
def transpose_pairs_and_back(zero, source, starts, middle, target):
    rows = pointer(starts, 0)
    s0, s1 = load_pair(pointer(source, zero), rows, 1)
    w = pointer(middle, zero)
    store(w, 0, s0)
    store(w, 1, s1)
    store_pair(pointer(target, zero), rows, 1, s0, s1)


@njit
def apply_widen(zero, source, target):
    low, high = widen(load(pointer(source, zero), 0))
    store(pointer(target, 0.0), 0, low)
    store(pointer(target, 0.0), 1, high)


@both_dtypes
def test_exp2_is_within_two_units_in_the_last_place(dtype: type) -> None:
    lowest = np.log2(np.finfo(dtype).tiny)
    values = np.concatenate([np.linspace(lowest, 0, 2**15), -np.logspace(-9, 0, 2**15), [lowest * 2, -np.inf] * 8])
    values = values.astype(dtype)
    found = values.copy()
    apply_exp2(dtype(0), address(found), found.nbytes * 8 // LANE_BITS)
    expected = np.exp2(np.maximum(values, dtype(lowest)).astype(np.longdouble))
    assert (np.abs(found - expected) <= 2 * np.spacing(expected.astype(dtype))).all()
    assert found[values == 0].tolist() == [1.0]


@both_dtypes
def test_nan_goes_through_exp2_and_maximum(dtype: type) -> None:
    lanes = LANE_BITS // (8 * dtype().itemsize)
    values = np.full(lanes, np.nan, dtype)
    apply_exp2(dtype(0), address(values), 1)
    assert np.isnan(values).all()
    first, second = np.arange(lanes, dtype=dtype), np.full(lanes, 2, dtype)
    second[-1] = np.nan
    apply_maximum(dtype(0), address(first), address(second))
    assert first[:-1].tolist() == np.maximum(np.arange(lanes - 1), 2).tolist()
    assert np.isnan(first[-1])


@both_dtypes
@pytest.mark.parametrize(
    ("width", "transpose_and_back"),
    [(2, transpose_pairs_and_back), (4, transpose_quads_and_back)],
    ids=["pair", "quad"],
)
def test_consecutive_values_are_transposed_and_written_back(dtype: type, width: int, transpose_and_back) -> None:
    lanes = LANE_BITS // (8 * dtype().itemsize)
    source = np.arange(lanes * 7, dtype=dtype).reshape(lanes, 7)
    starts = 7 * np.random.default_rng(0).permutation(lanes)
    middle, target = np.zeros((width, lanes), dtype), np.zeros_like(source)
    transpose_and_back(dtype(0), address(source), address(starts), address(middle), address(target))
    there = slice(1, 1 + width)
    assert (middle == source[starts // 7, there].T).all()
    assert (target[:, there] == source[:, there]).all()
    assert not np.delete(target, there, axis=1).any()


@both_dtypes
def test_a_register_is_widened_to_two(dtype: type) -> None:
    lanes = LANE_BITS // (8 * dtype().itemsize)
    source, target = np.linspace(-1, 1, lanes).astype(dtype), np.full(16, np.nan)
    apply_widen(dtype(0), address(source), address(target))
    assert target[:lanes].tolist() == source.tolist()
    assert not target[lanes:].any()
