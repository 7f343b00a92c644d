"""Moments of queries and keys, forward and backward, derived in README.md. Imports numba: import this module lazily.

`w` points to a thread's scratch (see `moment_places`), `sums` to its part that holds float64.
"""

# mypy: disable-error-code="no-untyped-def"
# Numba finds the types of what it compiles; those that Python sees are annotated.

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, NamedTuple

from numba import njit

from medt_pipeline.attention import numba_lanes, numba_layout
from medt_pipeline.attention.numba_kernels import cached
from medt_pipeline.attention.numba_lanes import load, muladd, pointer, splat, store, widen
from medt_pipeline.attention.numba_layout import BYTES, INNER, find_rows, pack, unpack


class MomentPlaces(NamedTuple):
    """Where things lie in a thread's scratch, in registers; q, k and their gradients are (2 d_k, L)."""

    rows: int
    q: int
    k: int
    means: int
    grad: int
    coefficients: int
    sums: int
    end: int


@njit
def moment_places(d_k: int, length: int) -> MomentPlaces:
    """Lay out a thread's scratch. Behind each mean of a channel stand its two rows of second moments."""
    rows = 0
    q = rows + 4 * 8 * 16 // BYTES
    k = q + d_k * length
    means = k + d_k * length
    grad = means + 2 * d_k + 2 * d_k * d_k
    coefficients = grad + max(2 * d_k * length, 2)
    sums = coefficients + 2 * d_k * (d_k + 1) * length
    return MomentPlaces(rows, q, k, means, grad, coefficients, sums, sums + 2 * 2 * d_k * (d_k + 1) * length)


@njit(**INNER)
def _centre_and_multiply(zero, w, at, d_k, length):
    """Means and, of what is about them, second moments over positions, of q and of k; centres q and k in place."""
    share = splat(type(zero)(1) / type(zero)(length))
    for c in range(2 * d_k):
        summed = splat(zero)
        for i in range(length):
            summed = summed + load(w, at.q + c * length + i)
        mean = summed * share
        store(w, at.means + c, mean)
        for i in range(length):
            here = at.q + c * length + i
            store(w, here, load(w, here) - mean)
    for which in range(2):
        for c in range(d_k):
            for d in range(c, d_k):
                first, second = at.q + (which * d_k + c) * length, at.q + (which * d_k + d) * length
                summed = splat(zero)
                for i in range(length):
                    summed = muladd(load(w, first + i), load(w, second + i), summed)
                moments = at.means + 2 * d_k + which * d_k * d_k
                store(w, moments + c * d_k + d, summed * share)
                store(w, moments + d * d_k + c, summed * share)


@njit(**INNER)
def _products(zero, w, at, d_k, rows, lanes, present, constant, rest):
    """Per row q̄·k̄ and k̄ᵀQk̄ + q̄ᵀKq̄ + tr(QK); through the scratch's gradient, which the forward does not use."""
    of_means = of_moments = splat(zero)
    q_moment, k_moment = at.means + 2 * d_k, at.means + 2 * d_k + d_k * d_k
    for c in range(d_k):
        of_means = muladd(load(w, at.means + c), load(w, at.means + d_k + c), of_means)
        for d in range(d_k):
            in_q, in_k = load(w, q_moment + c * d_k + d), load(w, k_moment + c * d_k + d)
            by_q = load(w, at.means + c) * load(w, at.means + d)
            by_k = muladd(load(w, at.means + d_k + c), load(w, at.means + d_k + d), in_k)
            of_moments = muladd(in_k, by_q, muladd(in_q, by_k, of_moments))
    store(w, at.grad, of_means)
    store(w, at.grad + 1, of_moments)
    for lane in range(present):
        constant[rows[48 + lane]] = w[at.grad * lanes + lane]
        rest[rows[48 + lane]] = w[(at.grad + 1) * lanes + lane]


@njit(**INNER)
def _add_to_sums(w, sums, at, d_k, length):
    """sums[x][0, c, i] += x and sums[x][1 + d, c, i] += x_c x_d for each lane, in float64, before centring."""
    for which in range(2):
        for c in range(d_k):
            here = at.q + (which * d_k + c) * length
            for row in range(d_k + 1):
                to = 2 * ((which * (d_k + 1) + row) * d_k + c) * length
                there = at.q + (which * d_k + max(row - 1, 0)) * length
                for i in range(length):
                    low, high = widen(load(w, here + i))
                    if row > 0:
                        other_low, other_high = widen(load(w, there + i))
                        low, high = low * other_low, high * other_high
                    store(sums, to + 2 * i, load(sums, to + 2 * i) + low)
                    store(sums, to + 2 * i + 1, load(sums, to + 2 * i + 1) + high)


@njit(**INNER)
def _flush_sums(sums, entries, rows, lanes, heads, partial):
    """Add the lanes' sums to those of their heads, and clear them."""
    width = BYTES // 8
    for entry in range(entries):
        for lane in range(lanes):
            place = 2 * entry * width + lane
            partial[entry * heads + rows[32 + lane]] += sums[place]
            sums[place] = 0.0


@njit(**INNER)
def _load_coefficients(w, at, entries, rows, lanes, heads, coefficients):
    """Bring (entries, heads) to the lanes of their heads."""
    for entry in range(entries):
        for lane in range(lanes):
            w[(at.coefficients + entry) * lanes + lane] = coefficients[entry * heads + rows[32 + lane]]


@njit(**INNER)
def _from_positions(w, at, d_k, length):
    """grad[x][c, i] = coefficients[x][0, c, i] + Σ_d coefficients[x][1 + d, c, i] x_d,i, before centring."""
    for which in range(2):
        for c in range(d_k):
            to = at.grad + (which * d_k + c) * length
            for i in range(length):
                first = at.coefficients + (which * (d_k + 1) * d_k + c) * length + i
                summed = load(w, first)
                for d in range(d_k):
                    x = load(w, at.q + (which * d_k + d) * length + i)
                    summed = muladd(load(w, first + (d + 1) * d_k * length), x, summed)
                store(w, to + i, summed)


@njit(**INNER)
def _from_products(zero, w, at, d_k, length, of_constant, of_rest):
    """Add, for q with k as the other and the reverse, to every position

    of_constant · other mean + of_rest · 2 [(other moment + other mean other meanᵀ) centred + other moment · own mean].
    """
    for which in range(2):
        own, other = at.means + which * d_k, at.means + (1 - which) * d_k
        moment = at.means + 2 * d_k + (1 - which) * d_k * d_k
        for c in range(d_k):
            constant = of_constant * load(w, other + c)
            for d in range(d_k):
                constant = muladd(of_rest * load(w, moment + c * d_k + d), load(w, own + d), constant)
            to = at.grad + (which * d_k + c) * length
            for i in range(length):
                store(w, to + i, load(w, to + i) + constant)
            for d in range(d_k):
                mixed = muladd(load(w, other + c), load(w, other + d), load(w, moment + c * d_k + d)) * of_rest
                x = at.q + (which * d_k + d) * length
                for i in range(length):
                    store(w, to + i, muladd(mixed, load(w, x + i), load(w, to + i)))


@njit(**INNER)
def _row_gradient(zero, w, place, rows, lanes, present, gradient, factor):
    """One value a row as a register, times `factor`; through the scratch."""
    for lane in range(lanes):
        w[place * lanes + lane] = gradient[rows[48 + lane]] * factor if lane < present else zero
    return load(w, place)


@njit(**INNER)
def _find_row_numbers(rows, lanes, first):
    for lane in range(lanes):
        rows[48 + lane] = first + lane


def _entries(stamp: int) -> tuple[Any, Any]:
    """The compiled functions; for `stamp` see `numba_kernels`."""

    @cached
    def forward(zero, sizes, qkv, constant, rest, first_chunk, last_chunk, thread):
        _ = stamp
        d_k, length, lanes = sizes.d_k, sizes.length, sizes.lanes
        at = moment_places(d_k, length)
        scratch = sizes.scratch + thread * at.end * BYTES
        w, rows, sums = pointer(scratch, zero), pointer(scratch, 0), pointer(scratch + at.sums * BYTES, 0.0)
        entries = 2 * d_k * (d_k + 1) * length
        count = sizes.cases * sizes.lines * sizes.heads
        blocks = (count + lanes - 1) // lanes
        for chunk in range(first_chunk, last_chunk):
            partial = pointer(sizes.partials + chunk * entries * sizes.heads * 8, 0.0)
            last = (chunk + 1) * blocks // sizes.chunks
            for block in range(chunk * blocks // sizes.chunks, last):
                present = min(lanes, count - block * lanes)
                find_rows(rows, sizes, block * lanes)
                _find_row_numbers(rows, lanes, block * lanes)
                pack(zero, w, at.q, length, qkv, 2 * d_k, rows, sizes, present)
                _add_to_sums(w, sums, at, d_k, length)
                if block + 1 == last or lanes % sizes.heads:
                    _flush_sums(sums, entries, rows, lanes, sizes.heads, partial)
                _centre_and_multiply(zero, w, at, d_k, length)
                _products(zero, w, at, d_k, rows, lanes, present, pointer(constant, zero), pointer(rest, zero))

    @cached
    def backward(zero, sizes, qkv, grad_qkv, of_constant, of_rest, coefficients, first_chunk, last_chunk, thread):
        _ = stamp
        d_k, length, lanes = sizes.d_k, sizes.length, sizes.lanes
        at = moment_places(d_k, length)
        scratch = sizes.scratch + thread * at.end * BYTES
        w, rows = pointer(scratch, zero), pointer(scratch, 0)
        entries = 2 * d_k * (d_k + 1) * length
        count = sizes.cases * sizes.lines * sizes.heads
        blocks = (count + lanes - 1) // lanes
        share = type(zero)(1) / type(zero)(length)
        for chunk in range(first_chunk, last_chunk):
            first = chunk * blocks // sizes.chunks
            for block in range(first, (chunk + 1) * blocks // sizes.chunks):
                present = min(lanes, count - block * lanes)
                find_rows(rows, sizes, block * lanes)
                _find_row_numbers(rows, lanes, block * lanes)
                pack(zero, w, at.q, length, qkv, 2 * d_k, rows, sizes, present)
                if block == first or lanes % sizes.heads:
                    _load_coefficients(w, at, entries, rows, lanes, sizes.heads, pointer(coefficients, zero))
                _from_positions(w, at, d_k, length)
                _centre_and_multiply(zero, w, at, d_k, length)
                u = _row_gradient(zero, w, at.sums, rows, lanes, present, pointer(of_constant, zero), share)
                r = _row_gradient(zero, w, at.sums, rows, lanes, present, pointer(of_rest, zero), 2 * share)
                _from_products(zero, w, at, d_k, length, u, r)
                unpack(zero, w, at.grad, length, grad_qkv, 2 * d_k, rows, sizes, present)

    return forward, backward


_SOURCES = (__file__, numba_lanes.__file__, numba_layout.__file__)
forward, backward = _entries(zlib.crc32(b"".join(Path(source).read_bytes() for source in _SOURCES)))
