"""Where the Numba kernels keep what they work on, and how it gets there and back. Imports numba: import it lazily.

A register (`Lanes`) holds the same number of 16 (float32) or 8 (float64) *rows*, a row being one head of one sequence.
So the work is the scalar formula, for any length and any number of channels, without remainders. A block of rows is
brought into this order, [channel][position][lane], in a scratch that each thread has.

`zero` is a scalar that says float32 or float64, `w` points to the scratch.
"""

# mypy: disable-error-code="no-untyped-def"
# Numba finds the types of what it compiles; those that Python sees are annotated.

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from medt_pipeline.attention.numba_lanes import (
    LANE_BITS,
    load,
    load_pair,
    load_quad,
    pointer,
    splat,
    store,
    store_pair,
    store_quad,
)

GROUP = 4
"""Queries treated together: keys are loaded, and gradients of keys and table written, once for all of them."""
PAD = GROUP - 1
"""Zeros on either side of an array, for the queries of a group that share an offset (`add_to_table`)."""
BYTES = LANE_BITS // 8
LOG2_E = 1.4426950408889634
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True}
"""For what only other compiled functions call."""


class View(NamedTuple):
    """A tensor (cases, lines, heads, channels, L): the address of its first element and its strides in elements."""

    address: int
    case: int
    line: int
    head: int
    channel: int
    position: int


class Sizes(NamedTuple):
    """Shape of a call, how it is cut into chunks, and the addresses of what is not a `View`.

    The work is cut by shape alone, never by the number of threads, so sums come out the same with any number.

    Attributes:
        lanes: rows a register holds.
        positions: 1 with a table, 0 without.
        joined: 1 where the two value sums are added to one result.
        chunks: number of parts into which the blocks of rows are cut.
        scales: address of the contiguous (5, heads), or of (1, heads) without positions.
        table: address of the table (2 d_k + d_v, `Places.offset_stride`), the rows of keys reversed, so that column
            i - j + L - 1 serves query i and key j in all three parts; columns that no query needs are zero.
        scratch: address of `Places.end` registers for each thread, zero at the start.
        partials: address of float64 (chunks, (2 d_k + d_v) (2 L - 1) + 5 heads), zero at the start: each chunk's part
            of the gradients of table and scales.
    """

    cases: int
    lines: int
    heads: int
    d_k: int
    d_v: int
    length: int
    lanes: int
    positions: int
    joined: int
    chunks: int
    scales: int
    table: int
    scratch: int
    partials: int


class Places(NamedTuple):
    """Where things lie in a thread's scratch, in registers. Arrays over positions are `stride` apart."""

    length: int
    stride: int
    offset_stride: int
    scales: int
    sums: int
    group: int
    rows: int
    q: int
    k: int
    v: int
    grad_q: int
    grad_k: int
    grad_v: int
    grad_k_position: int
    grad_q_position: int
    q_scaled: int
    q_position: int
    k_position: int
    of_values: int
    of_positions: int
    weights: int
    grad_logits: int
    grad_position_weights: int
    grad_table: int
    end: int


@njit
def places(d_k: int, d_v: int, length: int) -> Places:
    """Lay out a thread's scratch: arrays over positions (`PAD` zeros on either side), then one over offsets."""
    queries = (length + GROUP - 1) // GROUP * GROUP
    stride = queries + 2 * PAD
    offset_stride = queries + length - 1
    scales, sums, group = 0, 5, 7
    rows = group + GROUP
    q = rows + 3 * 8 * 16 // BYTES + PAD
    k = q + d_k * stride
    v = k + d_k * stride
    grad_q = v + d_v * stride
    grad_k = grad_q + d_k * stride
    grad_v = grad_k + d_k * stride
    grad_k_position = grad_v + d_v * stride
    grad_q_position = grad_k_position + d_k * stride
    q_scaled = grad_q_position + d_k * stride
    q_position = q_scaled + d_k * stride
    k_position = q_position + d_k * stride
    of_values = k_position + d_k * stride
    of_positions = of_values + d_v * stride
    weights = of_positions + d_v * stride
    grad_logits = weights + GROUP * stride
    grad_position_weights = grad_logits + GROUP * stride
    grad_table = grad_position_weights + GROUP * stride
    return Places(
        length,
        stride,
        offset_stride,
        scales,
        sums,
        group,
        rows,
        q,
        k,
        v,
        grad_q,
        grad_k,
        grad_v,
        grad_k_position,
        grad_q_position,
        q_scaled,
        q_position,
        k_position,
        of_values,
        of_positions,
        weights,
        grad_logits,
        grad_position_weights,
        grad_table,
        grad_table + (2 * d_k + d_v) * offset_stride,
    )


@njit(**INNER)
def find_rows(rows, sizes, first):
    """Sequence and head of each lane's row, to `rows`: 16 starts (of `_find_starts`), 16 sequences, 16 heads."""
    for lane in range(sizes.lanes):
        rows[16 + lane] = (first + lane) // sizes.heads
        rows[32 + lane] = (first + lane) % sizes.heads


@njit(**INNER)
def _find_starts(rows, sizes, view):
    for lane in range(sizes.lanes):
        case, line = rows[16 + lane] // sizes.lines, rows[16 + lane] % sizes.lines
        rows[lane] = case * view.case + line * view.line + rows[32 + lane] * view.head


@njit(**INNER)
def pack(zero, w, to, stride, view, channels, rows, sizes, present):
    """Copy (channels, L) of each row that `rows` names into lanes; lanes behind the `present` ones become zero.

    Channels that lie behind each other, as in a channels-last image, are read four or two at a time.
    """
    memory = pointer(view.address, zero)
    _find_starts(rows, sizes, view)
    channel = 0
    if view.channel == 1 and present == sizes.lanes:
        while channel + 4 <= channels:
            here = to + channel * stride
            for position in range(sizes.length):
                s0, s1, s2, s3 = load_quad(memory, rows, channel + position * view.position)
                store(w, here + position, s0)
                store(w, here + stride + position, s1)
                store(w, here + 2 * stride + position, s2)
                store(w, here + 3 * stride + position, s3)
            channel += 4
        if channel + 2 <= channels:
            here = to + channel * stride
            for position in range(sizes.length):
                s0, s1 = load_pair(memory, rows, channel + position * view.position)
                store(w, here + position, s0)
                store(w, here + stride + position, s1)
            channel += 2
    while channel < channels:
        for position in range(sizes.length):
            here = (to + channel * stride + position) * sizes.lanes
            for lane in range(sizes.lanes):
                start = rows[lane] + channel * view.channel + position * view.position
                w[here + lane] = memory[start] if lane < present else zero
        channel += 1


@njit(**INNER)
def unpack(zero, w, source, stride, view, channels, rows, sizes, present):
    """Copy lanes back to their rows."""
    memory = pointer(view.address, zero)
    _find_starts(rows, sizes, view)
    channel = 0
    if view.channel == 1 and present == sizes.lanes:
        while channel + 4 <= channels:
            here = source + channel * stride
            for position in range(sizes.length):
                s0, s1 = load(w, here + position), load(w, here + stride + position)
                s2, s3 = load(w, here + 2 * stride + position), load(w, here + 3 * stride + position)
                store_quad(memory, rows, channel + position * view.position, s0, s1, s2, s3)
            channel += 4
        if channel + 2 <= channels:
            here = source + channel * stride
            for position in range(sizes.length):
                s0, s1 = load(w, here + position), load(w, here + stride + position)
                store_pair(memory, rows, channel + position * view.position, s0, s1)
            channel += 2
    while channel < channels:
        for position in range(sizes.length):
            here = (source + channel * stride + position) * sizes.lanes
            for lane in range(present):
                memory[rows[lane] + channel * view.channel + position * view.position] = w[here + lane]
        channel += 1


@njit(**INNER)
def load_block(zero, w, at, sizes, first, rows, present, qkv):
    """Pack queries, keys, values and scales, and the scaled copies that give logits in base 2."""
    find_rows(rows, sizes, first)
    pack(zero, w, at.q, at.stride, qkv, 2 * sizes.d_k + sizes.d_v, rows, sizes, present)
    scales = pointer(sizes.scales, zero)
    for term in range(5):
        for lane in range(sizes.lanes):
            value = type(zero)(term == 3)  # without positions: logits of q·k alone, and values as they are
            if term == 0 or sizes.positions:
                value = scales[term * sizes.heads + rows[32 + lane]]
            w[(at.scales + term) * sizes.lanes + lane] = value
    base = splat(type(zero)(LOG2_E))
    s0, s1, s2 = load(w, at.scales) * base, load(w, at.scales + 1) * base, load(w, at.scales + 2) * base
    for c in range(sizes.d_k):
        for position in range(sizes.length):
            here = c * at.stride + position
            store(w, at.q_scaled + here, load(w, at.q + here) * s0)
            if sizes.positions:
                store(w, at.q_position + here, load(w, at.q + here) * s1)
                store(w, at.k_position + here, load(w, at.k + here) * s2)
