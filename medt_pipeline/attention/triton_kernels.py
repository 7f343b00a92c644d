"""Fused forward and backward of the attention in Triton, derived in README.md. Imports triton: import it lazily.

A program holds a tile of three axes, (ROWS, OWN, OTHER): some rows, a row being one head of one line of one case; the
positions whose results are its own; and those it sums over, block by block. So the table is loaded once for all its
rows, and short sequences fill a tile as well as long ones. Channels are a loop. All helpers below work by broadcasting:
in the backward for keys OWN are keys and OTHER queries, in that for the table OWN are offsets and OTHER queries.

Tensors are read and written through their strides, in elements: `qkv_strides` of case, line, head, channel, position;
`result_strides` and `grad_strides` of case, line, part, head, channel, position.

A *block* is a tuple (pointers to its first channel, channel stride, mask): what lies outside the mask is read as zero,
and not written. A *place* is a tuple (case, line, head) of each row.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton finds the types of what it compiles.

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
"""Softmax is computed by 2^x: the logits are multiplied by it."""


@triton.jit
def forward(
    qkv,
    table,
    scales,
    result,
    qkv_strides,
    result_strides,
    rows,
    lines,
    heads,
    length,
    D_K: tl.constexpr,
    D_V: tl.constexpr,
    D_V_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    OWN: tl.constexpr,
    OTHER: tl.constexpr,
    POSITIONS: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """The value sums of the program's queries; softmax is rescaled from key block to key block."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None, None]
    i = tl.program_id(1) * OWN + tl.arange(0, OWN)[None, :, None]
    channel = tl.arange(0, D_V_BLOCK)[None, None, :]
    served = (row < rows) & (i < length)
    place = _place(row, lines, heads)
    queries = _block(qkv, qkv_strides, place, 0, i, served)
    factors = _factors(scales, row, rows, heads, POSITIONS, COMPUTE)
    zero = tl.zeros([ROWS, OWN, OTHER], COMPUTE)
    largest = tl.full([ROWS, OWN, 1], float("-inf"), COMPUTE)
    total = tl.zeros([ROWS, OWN, 1], COMPUTE)
    values_sum = tl.zeros([ROWS, OWN, D_V_BLOCK], COMPUTE)
    positions_sum = tl.zeros([ROWS, OWN, D_V_BLOCK], COMPUTE)
    for begin in range(0, length, OTHER):
        j = begin + tl.arange(0, OTHER)[None, None, :]
        inside = (row < rows) & (j < length)
        keys = _block(qkv, qkv_strides, place, D_K, j, inside)
        values = _block(qkv, qkv_strides, place, 2 * D_K, j, inside)
        pairs = (i < length) & (j < length)
        relative = (_offsets(table, i - j, length, pairs), _offsets(table, j - i, length, pairs))
        logits = _logits(queries, keys, relative, factors, zero, D_K, POSITIONS, COMPUTE)
        logits = tl.where(j < length, logits, float("-inf"))
        before = largest
        largest = tl.maximum(before, tl.max(logits, 2, keep_dims=True))
        weights = tl.exp2(logits - largest)
        shrink = tl.exp2(before - largest)
        total = total * shrink + tl.sum(weights, 2, keep_dims=True)
        values_sum *= shrink
        positions_sum *= shrink
        for c in range(D_V):
            values_sum += _to_channel(weights * _channel(values, c, COMPUTE), channel, c)
            if POSITIONS:
                positions_sum += _to_channel(weights * _channel(relative[0], 2 * D_K + c, COMPUTE), channel, c)
    of_values = values_sum * (factors[3] / total)
    of_positions = positions_sum * (factors[4] / total)
    parts = _parts(result, result_strides, place, i, served, POSITIONS, JOINED)
    if JOINED:
        _store(parts[0], of_values + of_positions, channel, D_V)
    else:
        _store(parts[0], of_values, channel, D_V)
        if POSITIONS:
            _store(parts[1], of_positions, channel, D_V)


@triton.jit
def backward_queries(
    qkv,
    table,
    scales,
    grad,
    of_qkv,
    of_scales,
    log_sums,
    means,
    qkv_strides,
    grad_strides,
    of_qkv_strides,
    rows,
    lines,
    heads,
    length,
    D_K: tl.constexpr,
    D_V: tl.constexpr,
    D_K_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    OWN: tl.constexpr,
    OTHER: tl.constexpr,
    ONE_BLOCK: tl.constexpr,
    POSITIONS: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """Gradient of the program's queries, and what the other two kernels need.

    `log_sums` and `means` (rows, length): log₂ of the sum of softmax, and m_i. `of_scales` (terms, rows, programs a
    row): this program's part of Σ q·A, Σ q·B and both parts of Σ m_i. The keys are gone through twice, as g needs the
    finished m_i; with ONE_BLOCK, all of them in one, what the first pass computed serves the second.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None, None]
    i = tl.program_id(1) * OWN + tl.arange(0, OWN)[None, :, None]
    channel = tl.arange(0, D_K_BLOCK)[None, None, :]
    served = (row < rows) & (i < length)
    place = _place(row, lines, heads)
    queries = _block(qkv, qkv_strides, place, 0, i, served)
    grads = _parts(grad, grad_strides, place, i, served, POSITIONS, JOINED)
    factors = _factors(scales, row, rows, heads, POSITIONS, COMPUTE)
    zero = tl.zeros([ROWS, OWN, OTHER], COMPUTE)
    asked = (row, place, i, queries, grads, factors, zero)
    offered = (qkv, table, qkv_strides, rows, length)

    logits, by_values, by_positions = _query_tile(asked, offered, 0, D_K, D_V, POSITIONS, COMPUTE)
    largest = tl.max(logits, 2, keep_dims=True)
    weights = tl.exp2(logits - largest)
    total = tl.sum(weights, 2, keep_dims=True)
    mean_values = tl.sum(weights * by_values, 2, keep_dims=True)
    mean_positions = tl.sum(weights * by_positions, 2, keep_dims=True)
    for begin in range(OTHER, length, OTHER):
        logits_there, values_there, positions_there = _query_tile(asked, offered, begin, D_K, D_V, POSITIONS, COMPUTE)
        before = largest
        largest = tl.maximum(before, tl.max(logits_there, 2, keep_dims=True))
        weights_there = tl.exp2(logits_there - largest)
        shrink = tl.exp2(before - largest)
        total = total * shrink + tl.sum(weights_there, 2, keep_dims=True)
        mean_values = mean_values * shrink + tl.sum(weights_there * values_there, 2, keep_dims=True)
        mean_positions = mean_positions * shrink + tl.sum(weights_there * positions_there, 2, keep_dims=True)
    log_sum = largest + tl.log2(total)
    mean_values /= total
    mean_positions /= total
    mean = factors[3] * mean_values + factors[4] * mean_positions

    a = tl.zeros([ROWS, OWN, D_K_BLOCK], COMPUTE)
    b = tl.zeros([ROWS, OWN, D_K_BLOCK], COMPUTE)
    for begin in range(0, length, OTHER):
        if not ONE_BLOCK:
            logits, by_values, by_positions = _query_tile(asked, offered, begin, D_K, D_V, POSITIONS, COMPUTE)
        j = begin + tl.arange(0, OTHER)[None, None, :]
        keys = _block(qkv, qkv_strides, place, D_K, j, (row < rows) & (j < length))
        relative = _offsets(table, i - j, length, (i < length) & (j < length))
        of_weights = factors[3] * by_values + factors[4] * by_positions
        of_logits = tl.exp2(logits - log_sum) * (of_weights - mean)
        for c in range(D_K):
            a += _to_channel(of_logits * _channel(keys, c, COMPUTE), channel, c)
            if POSITIONS:
                b += _to_channel(of_logits * _channel(relative, c, COMPUTE), channel, c)
    at_position = row.to(tl.int64) * length + i
    tl.store(log_sums + at_position, log_sum, mask=served)
    tl.store(means + at_position, mean, mask=served)
    of_queries = _block(of_qkv, of_qkv_strides, place, 0, i, served)
    _store(of_queries, factors[0] * a + factors[1] * b, channel, D_K)
    own = _all_channels(queries, channel, D_K, COMPUTE)
    _store_scale(of_scales, 0, own * a, row, rows)
    if POSITIONS:
        _store_scale(of_scales, 1, own * b, row, rows)
        _store_scale(of_scales, 3, mean_values, row, rows)
        _store_scale(of_scales, 4, mean_positions, row, rows)


@triton.jit
def backward_keys(
    qkv,
    table,
    scales,
    grad,
    log_sums,
    means,
    of_qkv,
    of_scales,
    qkv_strides,
    grad_strides,
    of_qkv_strides,
    rows,
    lines,
    heads,
    length,
    D_K: tl.constexpr,
    D_V: tl.constexpr,
    D_K_BLOCK: tl.constexpr,
    D_V_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    OWN: tl.constexpr,
    OTHER: tl.constexpr,
    POSITIONS: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """Gradients of the program's keys and values, and its part of Σ k·D."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None, None]
    j = tl.program_id(1) * OWN + tl.arange(0, OWN)[None, :, None]
    key_channel = tl.arange(0, D_K_BLOCK)[None, None, :]
    value_channel = tl.arange(0, D_V_BLOCK)[None, None, :]
    served = (row < rows) & (j < length)
    place = _place(row, lines, heads)
    keys = _block(qkv, qkv_strides, place, D_K, j, served)
    values = _block(qkv, qkv_strides, place, 2 * D_K, j, served)
    factors = _factors(scales, row, rows, heads, POSITIONS, COMPUTE)
    zero = tl.zeros([ROWS, OWN, OTHER], COMPUTE)
    c_sum = tl.zeros([ROWS, OWN, D_K_BLOCK], COMPUTE)
    d_sum = tl.zeros([ROWS, OWN, D_K_BLOCK], COMPUTE)
    value_sum = tl.zeros([ROWS, OWN, D_V_BLOCK], COMPUTE)
    for begin in range(0, length, OTHER):
        i = begin + tl.arange(0, OTHER)[None, None, :]
        inside = (row < rows) & (i < length)
        queries = _block(qkv, qkv_strides, place, 0, i, inside)
        grads = _parts(grad, grad_strides, place, i, inside, POSITIONS, JOINED)
        pairs = (i < length) & (j < length)
        relative = (_offsets(table, i - j, length, pairs), _offsets(table, j - i, length, pairs))
        logits = _logits(queries, keys, relative, factors, zero, D_K, POSITIONS, COMPUTE)
        by_values, by_positions = _of_weights(grads, values, relative, zero, D_K, D_V, POSITIONS, COMPUTE)
        of_weights = factors[3] * by_values + factors[4] * by_positions
        weights, of_logits = _again(logits, of_weights, log_sums, means, row, i, length, inside, inside, COMPUTE)
        for c in range(D_K):
            c_sum += _to_channel(of_logits * _channel(queries, c, COMPUTE), key_channel, c)
            if POSITIONS:
                d_sum += _to_channel(of_logits * _channel(relative[1], D_K + c, COMPUTE), key_channel, c)
        for c in range(D_V):
            value_sum += _to_channel(weights * _channel(grads[0], c, COMPUTE), value_channel, c)
    of_keys = _block(of_qkv, of_qkv_strides, place, D_K, j, served)
    of_values = _block(of_qkv, of_qkv_strides, place, 2 * D_K, j, served)
    _store(of_keys, factors[0] * c_sum + factors[2] * d_sum, key_channel, D_K)
    _store(of_values, factors[3] * value_sum, value_channel, D_V)
    if POSITIONS:
        _store_scale(of_scales, 2, _all_channels(keys, key_channel, D_K, COMPUTE) * d_sum, row, rows)


@triton.jit
def backward_table(
    qkv,
    table,
    scales,
    grad,
    log_sums,
    means,
    of_table,
    qkv_strides,
    grad_strides,
    rows,
    lines,
    heads,
    length,
    rows_a_chunk,
    D_K: tl.constexpr,
    D_V: tl.constexpr,
    D_K_BLOCK: tl.constexpr,
    D_V_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    OWN: tl.constexpr,
    OTHER: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """A chunk's part of the gradient of the table at the program's offsets: `of_table` (chunks, table rows, offsets).

    OWN are offsets o and OTHER queries i, so that the key is j = i - o: then an entry of the table is one number to all
    queries and rows, and its gradient is a plain sum over them.
    """
    first_row = tl.program_id(0) * rows_a_chunk
    end_row = tl.minimum(first_row + rows_a_chunk, rows)
    first_column = tl.program_id(1) * OWN
    column = first_column + tl.arange(0, OWN)[None, :, None]
    offset = column - (length - 1)
    there = column < 2 * length - 1
    relative = (_offsets(table, offset, length, there), _offsets(table, -offset, length, there))
    key_channel, value_channel = tl.arange(0, D_K_BLOCK)[None, None, :], tl.arange(0, D_V_BLOCK)[None, None, :]
    zero = tl.zeros([ROWS, OWN, OTHER], COMPUTE)
    of_queries = tl.zeros([1, OWN, D_K_BLOCK], COMPUTE)
    of_keys = tl.zeros([1, OWN, D_K_BLOCK], COMPUTE)
    of_values = tl.zeros([1, OWN, D_V_BLOCK], COMPUTE)
    # Only these queries have keys at any of the offsets.
    first_query = tl.maximum(first_column - (length - 1), 0)
    end_query = tl.minimum(first_column + OWN, length)
    for first in range(first_row, end_row, ROWS):
        row = first + tl.arange(0, ROWS)[:, None, None]
        place = _place(row, lines, heads)
        factors = _factors(scales, row, end_row, heads, True, COMPUTE)
        for begin in range(first_query, end_query, OTHER):
            i = begin + tl.arange(0, OTHER)[None, None, :]
            j = i - offset
            asked = (row < end_row) & (i < length)
            inside = asked & (j >= 0) & (j < length)
            queries = _block(qkv, qkv_strides, place, 0, i, asked)
            keys = _block(qkv, qkv_strides, place, D_K, j, inside)
            values = _block(qkv, qkv_strides, place, 2 * D_K, j, inside)
            grads = _parts(grad, grad_strides, place, i, asked, True, JOINED)
            logits = _logits(queries, keys, relative, factors, zero, D_K, True, COMPUTE)
            by_values, by_positions = _of_weights(grads, values, relative, zero, D_K, D_V, True, COMPUTE)
            of_weights = factors[3] * by_values + factors[4] * by_positions
            weights, of_logits = _again(logits, of_weights, log_sums, means, row, i, length, asked, inside, COMPUTE)
            for c in range(D_K):
                of_queries += _over_rows(of_logits * (factors[1] * _channel(queries, c, COMPUTE)), key_channel, c)
                of_keys += _over_rows(of_logits * (factors[2] * _channel(keys, c, COMPUTE)), key_channel, c)
            for c in range(D_V):
                of_values += _over_rows(weights * (factors[4] * _channel(grads[1], c, COMPUTE)), value_channel, c)
    columns = 2 * length - 1
    at = of_table + tl.program_id(0).to(tl.int64) * (2 * D_K + D_V) * columns
    tl.store(at + key_channel * columns + column, of_queries, mask=there & (key_channel < D_K))
    # Rows of keys are indexed by j - i.
    mirrored = columns - 1 - column
    tl.store(at + (D_K + key_channel) * columns + mirrored, of_keys, mask=there & (key_channel < D_K))
    tl.store(at + (2 * D_K + value_channel) * columns + column, of_values, mask=there & (value_channel < D_V))


@triton.jit
def _place(row, lines, heads):
    """Case, line and head of each row, in 64 bits: a tensor may span more than 2³¹ entries."""
    sequence = row // heads
    return (sequence // lines).to(tl.int64), (sequence % lines).to(tl.int64), (row % heads).to(tl.int64)


@triton.jit
def _block(x, strides, place, first, position, inside):
    """The entries of `x` at these rows and positions, from channel `first` on, as a block."""
    start = x + tl.cast(first, tl.int64) * strides[3]
    start += place[0] * strides[0] + place[1] * strides[1] + place[2] * strides[2]
    return start + position.to(tl.int64) * strides[4], strides[3], inside


@triton.jit
def _parts(x, strides, place, position, inside, POSITIONS: tl.constexpr, JOINED: tl.constexpr):
    """The blocks of Σ a·v and Σ a·r^v of a result or its gradient; where it has one part only, that part twice."""
    of_part = (strides[0], strides[1], strides[3], strides[4], strides[5])
    first = _block(x, of_part, place, 0, position, inside)
    second = first
    if POSITIONS and not JOINED:
        second = _block(x + strides[2], of_part, place, 0, position, inside)
    return first, second


@triton.jit
def _offsets(table, offset, length, inside):
    """The table at these offsets, as a block whose channels are the table's rows."""
    return table + (length - 1 + offset), 2 * length - 1, inside


@triton.jit
def _channel(block, c, COMPUTE: tl.constexpr):
    """Channel c of a block."""
    return tl.load(block[0] + tl.cast(c, tl.int64) * block[1], mask=block[2], other=0.0).to(COMPUTE)


@triton.jit
def _factors(scales, row, rows, heads, POSITIONS: tl.constexpr, COMPUTE: tl.constexpr):
    """The five scales of each row's head; without positions values are taken as they are, and nothing else is used."""
    at = scales + row % heads
    first = tl.load(at, mask=row < rows, other=0.0).to(COMPUTE)
    one = tl.full(first.shape, 1.0, COMPUTE)
    second, third, fourth, fifth = one, one, one, one
    if POSITIONS:
        second = tl.load(at + heads, mask=row < rows, other=0.0).to(COMPUTE)
        third = tl.load(at + 2 * heads, mask=row < rows, other=0.0).to(COMPUTE)
        fourth = tl.load(at + 3 * heads, mask=row < rows, other=0.0).to(COMPUTE)
        fifth = tl.load(at + 4 * heads, mask=row < rows, other=0.0).to(COMPUTE)
    return first, second, third, fourth, fifth


@triton.jit
def _logits(queries, keys, relative, factors, zero, D_K: tl.constexpr, POSITIONS: tl.constexpr, COMPUTE: tl.constexpr):
    """Logits in base 2 of a tile; `zero` has its shape."""
    logits = zero
    for c in range(D_K):
        query, key = _channel(queries, c, COMPUTE), _channel(keys, c, COMPUTE)
        logits += (query * (factors[0] * LOG2E)) * key
        if POSITIONS:
            logits += (query * (factors[1] * LOG2E)) * _channel(relative[0], c, COMPUTE)
            logits += (key * (factors[2] * LOG2E)) * _channel(relative[1], D_K + c, COMPUTE)
    return logits


@triton.jit
def _of_weights(
    grads, values, relative, zero, D_K: tl.constexpr, D_V: tl.constexpr, POSITIONS: tl.constexpr, COMPUTE: tl.constexpr
):
    """Both parts of the gradients ā of the weights of a tile, by values and by positions, without their scales.

    `grads` are blocks of the gradients of both value sums.
    """
    by_values, by_positions = zero, zero
    for c in range(D_V):
        by_values += _channel(grads[0], c, COMPUTE) * _channel(values, c, COMPUTE)
        if POSITIONS:
            by_positions += _channel(grads[1], c, COMPUTE) * _channel(relative[0], 2 * D_K + c, COMPUTE)
    return by_values, by_positions


@triton.jit
def _query_tile(
    asked, offered, begin, D_K: tl.constexpr, D_V: tl.constexpr, POSITIONS: tl.constexpr, COMPUTE: tl.constexpr
):
    """Logits and the parts of ā of a program's queries with the keys from `begin` on; past the last logits are -∞."""
    row, place, i, queries, grads, factors, zero = asked
    qkv, table, qkv_strides, rows, length = offered
    j = begin + tl.arange(0, zero.shape[2])[None, None, :]
    inside = (row < rows) & (j < length)
    keys = _block(qkv, qkv_strides, place, D_K, j, inside)
    values = _block(qkv, qkv_strides, place, 2 * D_K, j, inside)
    pairs = (i < length) & (j < length)
    relative = (_offsets(table, i - j, length, pairs), _offsets(table, j - i, length, pairs))
    logits = _logits(queries, keys, relative, factors, zero, D_K, POSITIONS, COMPUTE)
    by_values, by_positions = _of_weights(grads, values, relative, zero, D_K, D_V, POSITIONS, COMPUTE)
    return tl.where(j < length, logits, float("-inf")), by_values, by_positions


@triton.jit
def _again(logits, of_weights, log_sums, means, row, i, length, asked, inside, COMPUTE: tl.constexpr):
    """Weights a and gradients g of logits from what `backward_queries` kept; zero outside of `inside`."""
    at = row.to(tl.int64) * length + i
    log_sum = tl.load(log_sums + at, mask=asked, other=0.0)
    mean = tl.load(means + at, mask=asked, other=0.0)
    weights = tl.exp2(tl.where(inside, logits - log_sum, float("-inf")))
    return weights, tl.where(inside, weights * (of_weights - mean), 0.0)


@triton.jit
def _to_channel(products, channel, c):
    """Sums over the last axis, at channel c of an axis of channels that are zero elsewhere."""
    return tl.where(channel == c, tl.sum(products, 2, keep_dims=True), 0.0)


@triton.jit
def _over_rows(products, channel, c):
    """The same, summed over rows too."""
    return tl.where(channel == c, tl.sum(tl.sum(products, 2, keep_dims=True), 0, keep_dims=True), 0.0)


@triton.jit
def _all_channels(block, channel, channels, COMPUTE: tl.constexpr):
    """A block with its channels as last axis."""
    pointers = block[0] + channel.to(tl.int64) * block[1]
    return tl.load(pointers, mask=block[2] & (channel < channels), other=0.0).to(COMPUTE)


@triton.jit
def _store_scale(of_scales, term, products, row, rows):
    """Write the program's sums of `products` of each row to `of_scales` (terms, rows, programs a row)."""
    sums = tl.sum(tl.sum(products, 2, keep_dims=True), 1, keep_dims=True)
    at = (term * rows + row).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    tl.store(of_scales + at, sums, mask=row < rows)


@triton.jit
def _store(block, x, channel, channels):
    """Write x (ROWS, OWN, channels in a power of two) to a block."""
    pointers = block[0] + channel.to(tl.int64) * block[1]
    tl.store(pointers, x, mask=block[2] & (channel < channels))
