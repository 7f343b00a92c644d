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

from medt_pipeline.attention.numba_lanes import LANE_BITS, load, load_tile, pointer, splat, store, store_tile

GROUP = 4
"""Queries treated together: keys are loaded, and gradients of keys and table written, once for all of them."""
PAD = GROUP - 1
"""Zeros on either side of an array over keys, for the queries of a group that share an offset (`add_to_table`)."""
TILE = 4
"""Positions that `load_tile` and `store_tile` move at once."""
BYTES = LANE_BITS // 8
LOG2_E = 1.4426950408889634
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True}
"""For what only other compiled functions call."""


class View(NamedTuple):
    """A tensor (sequences, heads, channels, L): the address of its first element and its strides in elements."""

    address: int
    sequence: int
    head: int
    channel: int
    position: int


class Sizes(NamedTuple):
    """Shape of a call, how it is cut into chunks, and the addresses of what is not a `View`.

    The work is cut by shape alone, never by the number of threads, so sums come out the same with any number.

    Attributes:
        lanes: rows a register holds.
        positions: 1 with a table, 0 without.
        chunks: number of parts into which the blocks of rows are cut.
        scales: address of the contiguous (3, heads).
        table: address of the table (2 d_k + d_v, `Places.offset_stride`), the rows of keys reversed, so that column
            i - j + L - 1 serves query i and key j in all three parts; columns that no query needs are zero.
        scratch: address of `Places.end` registers for each thread, zero at the start.
        partials: address of float64 (chunks, (2 d_k + d_v) (2 L - 1) + 3 heads), zero at the start: each chunk's part
            of the gradients of table and scales.
    """

    sequences: int
    heads: int
    d_k: int
    d_v: int
    length: int
    lanes: int
    positions: int
    chunks: int
    scales: int
    table: int
    scratch: int
    partials: int


class Places(NamedTuple):
    """Where things lie in a thread's scratch, in registers."""

    length: int
    query_stride: int
    key_stride: int
    offset_stride: int
    scales: int
    group: int
    rows: int
    q: int
    q_scaled: int
    q_position: int
    of_values: int
    of_positions: int
    grad_q_key: int
    grad_q_position: int
    k: int
    k_position: int
    v: int
    grad_k_query: int
    grad_k_position: int
    grad_v: int
    weights: int
    grad_logits: int
    grad_table: int
    end: int


@njit
def places(d_k: int, d_v: int, length: int) -> Places:
    """Lay out a thread's scratch: arrays over queries, over keys (`PAD` zeros on either side), over offsets."""
    queries = (length + GROUP - 1) // GROUP * GROUP
    keys = length + 2 * PAD
    offsets = queries + length - 1
    rows = 3 + GROUP
    q = rows + 3 * 8 * 16 // BYTES
    of_values = q + 3 * d_k * queries
    grad_q = of_values + 2 * d_v * queries
    k = grad_q + 2 * d_k * queries + PAD
    v = k + 2 * d_k * keys
    grad_k = v + d_v * keys
    grad_v = grad_k + 2 * d_k * keys
    weights = grad_v + d_v * keys
    grad_logits = weights + GROUP * keys
    grad_table = grad_logits + GROUP * keys
    return Places(
        length=length,
        query_stride=queries,
        key_stride=keys,
        offset_stride=offsets,
        scales=0,
        group=3,
        rows=rows,
        q=q,
        q_scaled=q + d_k * queries,
        q_position=q + 2 * d_k * queries,
        of_values=of_values,
        of_positions=of_values + d_v * queries,
        grad_q_key=grad_q,
        grad_q_position=grad_q + d_k * queries,
        k=k,
        k_position=k + d_k * keys,
        v=v,
        grad_k_query=grad_k,
        grad_k_position=grad_k + d_k * keys,
        grad_v=grad_v,
        weights=weights,
        grad_logits=grad_logits,
        grad_table=grad_table,
        end=grad_table + (2 * d_k + d_v) * offsets,
    )


@njit(**INNER)
def _find_rows(rows, sizes, first):
    """Sequence and head of each lane's row, to `rows`: 16 starts (of `_find_starts`), 16 sequences, 16 heads."""
    for lane in range(sizes.lanes):
        rows[16 + lane] = (first + lane) // sizes.heads
        rows[32 + lane] = (first + lane) % sizes.heads


@njit(**INNER)
def _find_starts(rows, sizes, view):
    for lane in range(sizes.lanes):
        rows[lane] = rows[16 + lane] * view.sequence + rows[32 + lane] * view.head


@njit(**INNER)
def pack(zero, w, to, stride, view, channels, rows, sizes, present):
    """Copy (channels, L) of each row that `rows` names into lanes; lanes behind the `present` ones become zero."""
    memory = pointer(view.address, zero)
    _find_starts(rows, sizes, view)
    tiled = view.position == 1 and sizes.length >= TILE and present == sizes.lanes
    for channel in range(channels):
        if tiled:
            for tile in range((sizes.length + TILE - 1) // TILE):
                position = min(tile * TILE, sizes.length - TILE)  # the last tile overlaps the one before
                here = to + channel * stride + position
                s0, s1, s2, s3 = load_tile(memory, rows, channel * view.channel + position)
                store(w, here, s0)
                store(w, here + 1, s1)
                store(w, here + 2, s2)
                store(w, here + 3, s3)
        else:
            for lane in range(sizes.lanes):
                for position in range(sizes.length):
                    start = rows[lane] + channel * view.channel + position * view.position
                    here = (to + channel * stride + position) * sizes.lanes + lane
                    w[here] = memory[start] if lane < present else zero


@njit(**INNER)
def unpack(zero, w, source, stride, view, channels, rows, sizes, present):
    """Copy lanes back to their rows."""
    memory = pointer(view.address, zero)
    _find_starts(rows, sizes, view)
    tiled = view.position == 1 and sizes.length >= TILE and present == sizes.lanes
    for channel in range(channels):
        if tiled:
            for tile in range((sizes.length + TILE - 1) // TILE):
                position = min(tile * TILE, sizes.length - TILE)
                here = source + channel * stride + position
                s0, s1, s2, s3 = load(w, here), load(w, here + 1), load(w, here + 2), load(w, here + 3)
                store_tile(memory, rows, channel * view.channel + position, s0, s1, s2, s3)
        else:
            for lane in range(present):
                for position in range(sizes.length):
                    start = rows[lane] + channel * view.channel + position * view.position
                    memory[start] = w[(source + channel * stride + position) * sizes.lanes + lane]


@njit(**INNER)
def load_block(zero, w, at, sizes, first, rows, present, q, k, v):
    """Pack queries, keys, values and scales, and the scaled copies that give logits in base 2."""
    _find_rows(rows, sizes, first)
    pack(zero, w, at.q, at.query_stride, q, sizes.d_k, rows, sizes, present)
    pack(zero, w, at.k, at.key_stride, k, sizes.d_k, rows, sizes, present)
    pack(zero, w, at.v, at.key_stride, v, sizes.d_v, rows, sizes, present)
    scales = pointer(sizes.scales, zero)
    for term in range(3):
        for lane in range(sizes.lanes):
            counts = term == 0 or sizes.positions
            w[(at.scales + term) * sizes.lanes + lane] = (
                scales[term * sizes.heads + rows[32 + lane]] if counts else zero
            )
    base = splat(type(zero)(LOG2_E))
    s0, s1, s2 = load(w, at.scales) * base, load(w, at.scales + 1) * base, load(w, at.scales + 2) * base
    for c in range(sizes.d_k):
        for position in range(sizes.length):
            here, there = c * at.query_stride + position, c * at.key_stride + position
            store(w, at.q_scaled + here, load(w, at.q + here) * s0)
            if sizes.positions:
                store(w, at.q_position + here, load(w, at.q + here) * s1)
                store(w, at.k_position + there, load(w, at.k + there) * s2)
