"""Fused forward and backward of the attention in Numba, derived in README.md. Imports numba: import it lazily.

Nothing of size L × L exists: of a group of four queries the rows of weights, and in the backward those of their
gradients, are the largest thing kept, in the scratch of a thread. The backward computes the weights again.
"""

# mypy: disable-error-code="no-untyped-def"
# Numba finds the types of what it compiles; those that Python sees are annotated.

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

from medt_pipeline.attention import numba_lanes, numba_layout, numba_steps
from medt_pipeline.attention.numba_lanes import exp2, load, maximum, muladd, pointer, splat, store, total
from medt_pipeline.attention.numba_layout import BYTES, GROUP, INNER, OPTIONS, load_block, pack, places, unpack
from medt_pipeline.attention.numba_steps import (
    add_to_keys,
    add_to_keys_from_table,
    add_to_table,
    add_to_table_from_keys,
    products,
    sums,
    table_products,
    table_sums,
)

RUN = 32
"""Keys that are summed before their sum is added to that of the others: rounding errors then grow with L / 32 + 32."""


def cached(function: Callable[..., Any]) -> Any:
    """`njit` that keeps the machine code on disk wherever a folder for it can be written."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # "no locator available": neither the package's folder nor the user's cache is writable
        return njit(**OPTIONS)(function)


@njit(**INNER)
def _logits(zero, w, t, at, sizes, i):
    """Logits of queries i…i+3 in base 2, to `at.weights`."""
    products(zero, w, t, at.weights, at.q_scaled, at.k, at.q_position, at.k_position, sizes.d_k, sizes.positions, at, i)


@njit(**INNER)
def _exponentials(zero, w, row, at):
    """Turn a row of logits into 2^(logit - largest), in place; returns one over their sum."""
    largest = load(w, row)
    for j in range(1, at.length):
        largest = maximum(largest, load(w, row + j))
    summed = splat(zero)
    for begin in range(0, at.length, RUN):
        part = splat(zero)
        for j in range(begin, min(begin + RUN, at.length)):
            weight = exp2(load(w, row + j) - largest)
            part = part + weight
            store(w, row + j, weight)
        summed = summed + part
    return splat(type(zero)(1)) / summed


@njit(**INNER)
def _forward_queries(zero, w, t, at, sizes, i):
    """Both value sums of queries i…i+3, times their scales."""
    _logits(zero, w, t, at, sizes, i)
    for g in range(GROUP):
        store(w, at.group + g, _exponentials(zero, w, at.weights + g * at.stride, at))
    s3, s4 = load(w, at.scales + 3), load(w, at.scales + 4)
    sums(zero, w, at.of_values, at.weights, at.v, sizes.d_v, at, i)
    if sizes.positions:
        table_sums(zero, w, t, at.of_positions, at.weights, 2 * sizes.d_k, sizes.d_v, at, i)
    for c in range(sizes.d_v):
        for g in range(GROUP):
            here, inverse = c * at.stride + i + g, load(w, at.group + g)
            of_values = load(w, at.of_values + here) * (s3 * inverse)
            of_positions = load(w, at.of_positions + here) * (s4 * inverse)
            store(w, at.of_values + here, of_values + of_positions if sizes.joined else of_values)
            store(w, at.of_positions + here, of_positions)


@njit(**INNER)
def _weighted_sum(zero, w, p, x, at):
    """Σ_j p[j] x[j], in runs of `RUN`."""
    summed = splat(zero)
    for begin in range(0, at.length, RUN):
        part = splat(zero)
        for j in range(begin, min(begin + RUN, at.length)):
            part = muladd(load(w, p + j), load(w, x + j), part)
        summed = summed + part
    return summed


@njit(**INNER)
def _grad_logits(zero, w, row, at, positions):
    """From rows of logits and of the weights' gradients: the weights and the logits' gradients, in place.

    Adds to `at.sums` what the query contributes to the gradients of the scales of the value sums.
    """
    p, of_v, of_r = at.weights + row, at.grad_logits + row, at.grad_position_weights + row
    s3, s4 = load(w, at.scales + 3), load(w, at.scales + 4)
    inverse = _exponentials(zero, w, p, at)
    mean = _weighted_sum(zero, w, p, of_v, at) * inverse
    store(w, at.sums, load(w, at.sums) + mean)
    mean = s3 * mean
    if positions:
        of_scale = _weighted_sum(zero, w, p, of_r, at) * inverse
        store(w, at.sums + 1, load(w, at.sums + 1) + of_scale)
        mean = muladd(s4, of_scale, mean)
    for j in range(at.length):
        weight = load(w, p + j) * inverse
        grad = s3 * load(w, of_v + j)
        if positions:
            grad = muladd(s4, load(w, of_r + j), grad)
        store(w, p + j, weight)
        store(w, of_v + j, weight * (grad - mean))


@njit(**INNER)
def _backward_queries(zero, w, t, at, sizes, i):
    """Add what queries i…i+3 contribute to the gradients, still without the scales."""
    d_k, d_v, p, g = sizes.d_k, sizes.d_v, at.weights, at.grad_logits
    of_positions = at.of_values if sizes.joined else at.of_positions
    _logits(zero, w, t, at, sizes, i)
    products(zero, w, t, g, at.of_values, at.v, 0, 0, d_v, False, at, i)
    if sizes.positions:
        table_products(zero, w, t, at.grad_position_weights, of_positions, 2 * d_k, d_v, at, i)
    for row in range(GROUP):
        _grad_logits(zero, w, row * at.stride, at, sizes.positions)
    sums(zero, w, at.grad_q, g, at.k, d_k, at, i)
    add_to_keys(zero, w, at.grad_k, g, at.q, d_k, at, i)
    add_to_keys(zero, w, at.grad_v, p, at.of_values, d_v, at, i)
    if sizes.positions:
        table_sums(zero, w, t, at.grad_q_position, g, 0, d_k, at, i)
        add_to_keys_from_table(zero, w, t, at.grad_k_position, g, d_k, d_k, at, i)
        add_to_table(zero, w, at.grad_table, g, at.q, d_k, at, i)
        add_to_table_from_keys(zero, w, at.grad_table + d_k * at.offset_stride, g, at.k, d_k, at, i)
        add_to_table(zero, w, at.grad_table + 2 * d_k * at.offset_stride, p, of_positions, d_v, at, i)


@njit(**INNER)
def _scale(zero, w, x, by_scale, by_other, first, other, at, sizes):
    """by_scale = first · by_scale + other · by_other in place; returns Σ x·by_scale and Σ x·by_other of before."""
    sum_scale = sum_other = splat(zero)
    for c in range(sizes.d_k):
        for position in range(at.length):
            here = c * at.stride + position
            value, part, rest = load(w, x + here), load(w, by_scale + here), load(w, by_other + here)
            sum_scale = muladd(value, part, sum_scale)
            sum_other = muladd(value, rest, sum_other)
            store(w, by_scale + here, muladd(first, part, other * rest))
    return sum_scale, sum_other


@njit(**INNER)
def _collect_scales(zero, w, at, sizes, rows, partial):
    """Bring the scales into the gradients of queries, keys and values, and add up the gradients of the scales."""
    s0, s1, s2, s3 = load(w, at.scales), load(w, at.scales + 1), load(w, at.scales + 2), load(w, at.scales + 3)
    of_key, of_query = _scale(zero, w, at.q, at.grad_q, at.grad_q_position, s0, s1, at, sizes)
    _, of_key_position = _scale(zero, w, at.k, at.grad_k, at.grad_k_position, s0, s2, at, sizes)
    for register in range(at.grad_v, at.grad_v + sizes.d_v * at.stride):
        store(w, register, load(w, register) * s3)
    store(w, at.group, of_key)
    store(w, at.group + 1, of_query)
    store(w, at.group + 2, of_key_position)
    for term in range(5):
        source = at.group + term if term < 3 else at.sums + term - 3
        for lane in range(sizes.lanes):
            partial[term * sizes.heads + rows[32 + lane]] += w[source * sizes.lanes + lane]
    store(w, at.sums, splat(zero))
    store(w, at.sums + 1, splat(zero))


@njit(**INNER)
def _collect_table(zero, w, at, sizes, partial):
    """Add up the table's gradient over the lanes, and clear it for the next block."""
    columns = 2 * at.length - 1
    for row in range(2 * sizes.d_k + sizes.d_v):
        term = 1 if row < sizes.d_k else 2 if row < 2 * sizes.d_k else 4
        scale = load(w, at.scales + term)
        reverse = sizes.d_k <= row < 2 * sizes.d_k
        for column in range(columns):
            here = at.grad_table + row * at.offset_stride + column
            to = row * columns + (columns - 1 - column if reverse else column)
            partial[to] += total(load(w, here) * scale)
            store(w, here, splat(zero))


@njit(**INNER)
def _load_gradients(zero, w, at, sizes, rows, present, grad_values, grad_positions):
    """Pack the gradients of the value sums, and clear what the queries' gradients are added to."""
    pack(zero, w, at.of_values, at.stride, grad_values, sizes.d_v, rows, sizes, present)
    if sizes.positions and not sizes.joined:
        pack(zero, w, at.of_positions, at.stride, grad_positions, sizes.d_v, rows, sizes, present)
    for register in range(at.grad_k, at.grad_k_position + sizes.d_k * at.stride):
        store(w, register, splat(zero))


def _entries(stamp: int) -> tuple[Any, Any]:
    """The compiled functions; they work on some of the chunks.

    Numba's cache watches this file and what a function closes over, not the modules it imports from: hence the stamp.
    """

    @cached
    def forward(zero, sizes, qkv, of_values, of_positions, first_chunk, last_chunk, thread):
        _ = stamp
        at = places(sizes.d_k, sizes.d_v, sizes.length)
        t = pointer(sizes.table, zero)
        scratch = sizes.scratch + thread * at.end * BYTES
        w, rows = pointer(scratch, zero), pointer(scratch + at.rows * BYTES, 0)
        count = sizes.cases * sizes.lines * sizes.heads
        blocks = (count + sizes.lanes - 1) // sizes.lanes
        for block in range(first_chunk * blocks // sizes.chunks, last_chunk * blocks // sizes.chunks):
            first = block * sizes.lanes
            present = min(sizes.lanes, count - first)
            load_block(zero, w, at, sizes, first, rows, present, qkv)
            for i in range(0, sizes.length, GROUP):
                _forward_queries(zero, w, t, at, sizes, i)
            unpack(zero, w, at.of_values, at.stride, of_values, sizes.d_v, rows, sizes, present)
            if sizes.positions and not sizes.joined:
                unpack(zero, w, at.of_positions, at.stride, of_positions, sizes.d_v, rows, sizes, present)

    @cached
    def backward(zero, sizes, qkv, grad_values, grad_positions, grad_qkv, first_chunk, last_chunk, thread):
        _ = stamp
        at = places(sizes.d_k, sizes.d_v, sizes.length)
        t = pointer(sizes.table, zero)
        scratch = sizes.scratch + thread * at.end * BYTES
        w, rows = pointer(scratch, zero), pointer(scratch + at.rows * BYTES, 0)
        channels = 2 * sizes.d_k + sizes.d_v
        entries = channels * (2 * sizes.length - 1)
        count = sizes.cases * sizes.lines * sizes.heads
        blocks = (count + sizes.lanes - 1) // sizes.lanes
        for chunk in range(first_chunk, last_chunk):
            partial = sizes.partials + chunk * (entries + 5 * sizes.heads) * 8
            for block in range(chunk * blocks // sizes.chunks, (chunk + 1) * blocks // sizes.chunks):
                first = block * sizes.lanes
                present = min(sizes.lanes, count - first)
                load_block(zero, w, at, sizes, first, rows, present, qkv)
                _load_gradients(zero, w, at, sizes, rows, present, grad_values, grad_positions)
                for i in range(0, sizes.length, GROUP):
                    _backward_queries(zero, w, t, at, sizes, i)
                _collect_scales(zero, w, at, sizes, rows, pointer(partial + entries * 8, 0.0))
                if sizes.positions:
                    _collect_table(zero, w, at, sizes, pointer(partial, 0.0))
                unpack(zero, w, at.grad_q, at.stride, grad_qkv, channels, rows, sizes, present)

    return forward, backward


_SOURCES = (numba_lanes.__file__, numba_layout.__file__, numba_steps.__file__)
forward, backward = _entries(zlib.crc32(b"".join(Path(source).read_bytes() for source in _SOURCES)))
