"""Fused forward and backward of the attention in Triton, derived in README.md. Imports triton: import it lazily.

A program has as many *lanes* as threads, and what a lane has belongs to one thread: one axis is all that tiles have.
Channels are tuples of such tiles, unrolled, and the other positions are a loop, so that no sum needs an exchange of
threads. In `forward`, `backward_queries` and `backward_keys` a lane is one position of one row, a row being one head of
one line of one case; in `backward_table` it is an offset.

Tensors are read and written through their strides, in elements: `qkv_strides` of case, line, head, channel, position;
`result_strides` and `grad_strides` of case, line, part, head, channel, position.

A *block* is a tuple (pointers to its first channel at position 0, channel stride, position stride, mask): what lies
outside the mask is read as zero, and not written. A *place* is a tuple (case, line, head) of each row.
"""

# mypy: disable-error-code="no-untyped-def, assignment"
# Triton finds the types of what it compiles.

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
"""Softmax is computed by 2^x: the logits are multiplied by it."""
SIZES = ("rows", "lines", "heads", "length")
"""What kernels are not compiled anew for where it is 1 or a multiple of 16, as Triton else does."""


@triton.jit(do_not_specialize=SIZES)
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
    LANES: tl.constexpr,
    POSITIONS: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """The value sums of the lanes' queries; softmax is rescaled from key to key."""
    row, i, served = _lanes(rows, length, LANES)
    place = _place(row, lines, heads)
    factors = _factors(scales, row, served, heads, POSITIONS, COMPUTE)
    query = _load(_block(qkv, qkv_strides, place, 0, served), i, D_K, COMPUTE)
    keys = _block(qkv, qkv_strides, place, D_K, served)
    values = _block(qkv, qkv_strides, place, 2 * D_K, served)
    largest = tl.full([LANES], float("-inf"), COMPUTE)
    total = tl.zeros([LANES], COMPUTE)
    of_values, of_positions = _zeros(D_V, LANES, COMPUTE), _zeros(D_V, LANES, COMPUTE)
    for j in range(length):
        key, value = _load(keys, j, D_K, COMPUTE), _load(values, j, D_V, COMPUTE)
        relative = _relative(table, i - j, length, served, D_K, D_V, POSITIONS, COMPUTE)
        logits = _logits(query, key, relative, factors, D_K, POSITIONS)
        before = largest
        largest = tl.maximum(before, logits)
        weights = tl.exp2(logits - largest)
        shrink = tl.exp2(before - largest)
        total = total * shrink + weights
        of_values = _added(_scaled(of_values, shrink, D_V), weights * factors[3], value, D_V)
        if JOINED and POSITIONS:
            of_values = _added(of_values, weights * factors[4], relative[2], D_V)
        elif POSITIONS:
            of_positions = _added(_scaled(of_positions, shrink, D_V), weights * factors[4], relative[2], D_V)
    first, second = _parts(result, result_strides, place, served, POSITIONS, JOINED)
    _store(first, i, _scaled(of_values, 1.0 / total, D_V), D_V)
    if POSITIONS and not JOINED:
        _store(second, i, _scaled(of_positions, 1.0 / total, D_V), D_V)


@triton.jit(do_not_specialize=SIZES)
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
    LANES: tl.constexpr,
    POSITIONS: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """Gradient of the lanes' queries, and what the other two kernels need.

    `log_sums` and `means` (rows, length): log₂ of the sum of softmax, and m_i. `of_scales` (terms, rows, length): q·A,
    q·B and both parts of m_i. The keys are gone through twice, as g needs the finished m_i.
    """
    row, i, served = _lanes(rows, length, LANES)
    place = _place(row, lines, heads)
    factors = _factors(scales, row, served, heads, POSITIONS, COMPUTE)
    query = _load(_block(qkv, qkv_strides, place, 0, served), i, D_K, COMPUTE)
    keys = _block(qkv, qkv_strides, place, D_K, served)
    values = _block(qkv, qkv_strides, place, 2 * D_K, served)
    grads = _load_parts(grad, grad_strides, place, i, served, D_V, POSITIONS, JOINED, COMPUTE)

    largest = tl.full([LANES], float("-inf"), COMPUTE)
    total = tl.zeros([LANES], COMPUTE)
    mean_values = tl.zeros([LANES], COMPUTE)
    mean_positions = tl.zeros([LANES], COMPUTE)
    for j in range(length):
        key, value = _load(keys, j, D_K, COMPUTE), _load(values, j, D_V, COMPUTE)
        relative = _relative(table, i - j, length, served, D_K, D_V, POSITIONS, COMPUTE)
        logits = _logits(query, key, relative, factors, D_K, POSITIONS)
        by_values, by_positions = _of_weights(grads, value, relative, D_V, POSITIONS)
        before = largest
        largest = tl.maximum(before, logits)
        weights = tl.exp2(logits - largest)
        shrink = tl.exp2(before - largest)
        total = total * shrink + weights
        mean_values = mean_values * shrink + weights * by_values
        mean_positions = mean_positions * shrink + weights * by_positions
    log_sum = largest + tl.log2(total)
    mean_values /= total
    mean_positions /= total
    mean = factors[3] * mean_values + factors[4] * mean_positions

    a, b = _zeros(D_K, LANES, COMPUTE), _zeros(D_K, LANES, COMPUTE)
    for j in range(length):
        key, value = _load(keys, j, D_K, COMPUTE), _load(values, j, D_V, COMPUTE)
        relative = _relative(table, i - j, length, served, D_K, D_V, POSITIONS, COMPUTE)
        logits = _logits(query, key, relative, factors, D_K, POSITIONS)
        by_values, by_positions = _of_weights(grads, value, relative, D_V, POSITIONS)
        of_weights = factors[3] * by_values + factors[4] * by_positions
        of_logits = tl.exp2(logits - log_sum) * (of_weights - mean)
        a = _added(a, of_logits, key, D_K)
        if POSITIONS:
            b = _added(b, of_logits, relative[0], D_K)
    lane, a_term = row * length + i, tl.cast(rows, tl.int64) * length
    tl.store(log_sums + lane, log_sum, mask=served)
    tl.store(means + lane, mean, mask=served)
    of_queries = _block(of_qkv, of_qkv_strides, place, 0, served)
    _store(of_queries, i, _added(_scaled(a, factors[0], D_K), factors[1], b, D_K), D_K)
    tl.store(of_scales + lane, _product(query, a, D_K), mask=served)
    if POSITIONS:
        tl.store(of_scales + a_term + lane, _product(query, b, D_K), mask=served)
        tl.store(of_scales + 3 * a_term + lane, mean_values, mask=served)
        tl.store(of_scales + 4 * a_term + lane, mean_positions, mask=served)


@triton.jit(do_not_specialize=SIZES)
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
    LANES: tl.constexpr,
    POSITIONS: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """Gradients of the lanes' keys and values, and k·D."""
    row, j, served = _lanes(rows, length, LANES)
    place = _place(row, lines, heads)
    factors = _factors(scales, row, served, heads, POSITIONS, COMPUTE)
    queries = _block(qkv, qkv_strides, place, 0, served)
    key = _load(_block(qkv, qkv_strides, place, D_K, served), j, D_K, COMPUTE)
    value = _load(_block(qkv, qkv_strides, place, 2 * D_K, served), j, D_V, COMPUTE)
    c, d = _zeros(D_K, LANES, COMPUTE), _zeros(D_K, LANES, COMPUTE)
    of_value = _zeros(D_V, LANES, COMPUTE)
    for i in range(length):
        query = _load(queries, i, D_K, COMPUTE)
        grads = _load_parts(grad, grad_strides, place, i, served, D_V, POSITIONS, JOINED, COMPUTE)
        relative = _relative(table, i - j, length, served, D_K, D_V, POSITIONS, COMPUTE)
        logits = _logits(query, key, relative, factors, D_K, POSITIONS)
        by_values, by_positions = _of_weights(grads, value, relative, D_V, POSITIONS)
        of_weights = factors[3] * by_values + factors[4] * by_positions
        weights, of_logits = _again(logits, of_weights, log_sums, means, row * length + i, served)
        c = _added(c, of_logits, query, D_K)
        if POSITIONS:
            d = _added(d, of_logits, relative[1], D_K)
        of_value = _added(of_value, weights, grads[0], D_V)
    of_keys = _block(of_qkv, of_qkv_strides, place, D_K, served)
    of_values = _block(of_qkv, of_qkv_strides, place, 2 * D_K, served)
    _store(of_keys, j, _added(_scaled(c, factors[0], D_K), factors[2], d, D_K), D_K)
    _store(of_values, j, _scaled(of_value, factors[3], D_V), D_V)
    if POSITIONS:
        at = of_scales + 2 * tl.cast(rows, tl.int64) * length + row * length + j
        tl.store(at, _product(key, d, D_K), mask=served)


@triton.jit(do_not_specialize=[*SIZES, "rows_a_chunk", "queries_a_chunk"])
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
    queries_a_chunk,
    D_K: tl.constexpr,
    D_V: tl.constexpr,
    LANES: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """A part of the gradient of the table: `of_table` (chunks of rows × chunks of queries, table rows, offsets).

    A lane is an offset o = i - j, whose entries of the table are in its registers while it goes through the rows and
    queries i of the program's chunk: their gradient is a plain sum.
    """
    columns = 2 * length - 1
    column = tl.program_id(2) * LANES + tl.arange(0, LANES)
    offset = column - (length - 1)
    there = column < columns
    relative = _relative(table, offset, length, there, D_K, D_V, True, COMPUTE)
    of_queries, of_keys = _zeros(D_K, LANES, COMPUTE), _zeros(D_K, LANES, COMPUTE)
    of_values = _zeros(D_V, LANES, COMPUTE)
    first_row = tl.program_id(0) * rows_a_chunk
    first_query = tl.program_id(1) * queries_a_chunk
    # Only these queries of the chunk have keys at any of the program's offsets.
    least = tl.program_id(2) * LANES - (length - 1)
    begin = tl.maximum(first_query, least)
    end = tl.minimum(tl.minimum(first_query + queries_a_chunk, length), least + LANES + length - 1)
    for row in range(first_row, tl.minimum(first_row + rows_a_chunk, rows)):
        place = _place(tl.cast(row, tl.int64), lines, heads)
        factors = _factors(scales, row, True, heads, True, COMPUTE)
        for query_position in range(begin, end):
            # The same to all lanes, but each has it, like what is loaded there, in a register of its own.
            i = query_position + tl.zeros_like(offset)
            j = i - offset
            inside = there & (j >= 0) & (j < length)
            query = _load(_block(qkv, qkv_strides, place, 0, there), i, D_K, COMPUTE)
            key = _load(_block(qkv, qkv_strides, place, D_K, inside), j, D_K, COMPUTE)
            value = _load(_block(qkv, qkv_strides, place, 2 * D_K, inside), j, D_V, COMPUTE)
            grads = _load_parts(grad, grad_strides, place, i, there, D_V, True, JOINED, COMPUTE)
            logits = _logits(query, key, relative, factors, D_K, True)
            by_values, by_positions = _of_weights(grads, value, relative, D_V, True)
            of_weights = factors[3] * by_values + factors[4] * by_positions
            lane = tl.cast(row, tl.int64) * length + i
            weights, of_logits = _again(logits, of_weights, log_sums, means, lane, there)
            weights, of_logits = tl.where(inside, weights, 0.0), tl.where(inside, of_logits, 0.0)
            of_queries = _added(of_queries, of_logits * factors[1], query, D_K)
            of_keys = _added(of_keys, of_logits * factors[2], key, D_K)
            of_values = _added(of_values, weights * factors[4], grads[1], D_V)
    part = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    at = of_table + part * (2 * D_K + D_V) * columns
    _store((at, columns, 1, there), column, of_queries, D_K)
    # Rows of keys are indexed by j - i.
    _store((at + D_K * columns, columns, 1, there), columns - 1 - column, of_keys, D_K)
    _store((at + 2 * D_K * columns, columns, 1, there), column, of_values, D_V)


@triton.jit
def _lanes(rows, length, LANES: tl.constexpr):
    """Row and position of each lane, and whether there is such a row; rows in 64 bits, for they index tensors."""
    lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    row = lane // length
    return row, (lane % length).to(tl.int32), row < rows


@triton.jit
def _place(row, lines, heads):
    """Case, line and head of each row."""
    sequence = row // heads
    return sequence // lines, sequence % lines, row % heads


@triton.jit
def _block(x, strides, place, first, inside):
    """The entries of `x` at these rows, from channel `first` on, as a block."""
    start = x + tl.cast(first, tl.int64) * strides[3]
    start += place[0] * strides[0] + place[1] * strides[1] + place[2] * strides[2]
    return start, strides[3], strides[4], inside


@triton.jit
def _parts(x, strides, place, inside, POSITIONS: tl.constexpr, JOINED: tl.constexpr):
    """The blocks of Σ a·v and Σ a·r^v of a result or its gradient; where it has one part only, that part twice."""
    of_part = (strides[0], strides[1], strides[3], strides[4], strides[5])
    first = _block(x, of_part, place, 0, inside)
    second = first
    if POSITIONS and not JOINED:
        second = _block(x + strides[2], of_part, place, 0, inside)
    return first, second


@triton.jit
def _load(block, position, CHANNELS: tl.constexpr, COMPUTE: tl.constexpr):
    """The channels of a block at a position."""
    pointers = block[0] + tl.cast(position, tl.int64) * block[2]
    found = ()
    for c in tl.static_range(CHANNELS):
        at = pointers + tl.cast(c, tl.int64) * block[1]
        found += (tl.load(at, mask=block[3], other=0.0).to(COMPUTE),)
    return found


@triton.jit
def _store(block, position, x, CHANNELS: tl.constexpr):
    """Write the channels of `x` to a block at a position."""
    pointers = block[0] + tl.cast(position, tl.int64) * block[2]
    for c in tl.static_range(CHANNELS):
        tl.store(pointers + tl.cast(c, tl.int64) * block[1], x[c], mask=block[3])


@triton.jit
def _load_parts(
    x,
    strides,
    place,
    position,
    inside,
    D_V: tl.constexpr,
    POSITIONS: tl.constexpr,
    JOINED: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """Both parts of a gradient at a position, loaded once where they are one."""
    blocks = _parts(x, strides, place, inside, POSITIONS, JOINED)
    first = _load(blocks[0], position, D_V, COMPUTE)
    second = first
    if POSITIONS and not JOINED:
        second = _load(blocks[1], position, D_V, COMPUTE)
    return first, second


@triton.jit
def _relative(
    table,
    offset,
    length,
    inside,
    D_K: tl.constexpr,
    D_V: tl.constexpr,
    POSITIONS: tl.constexpr,
    COMPUTE: tl.constexpr,
):
    """r^q and r^v at the offsets i - j, and between them r^k at j - i."""
    columns = 2 * length - 1
    of_query, of_key, of_value = (), (), ()
    if POSITIONS:
        of_query = _load((table, columns, 1, inside), length - 1 + offset, D_K, COMPUTE)
        of_key = _load((table + D_K * columns, columns, 1, inside), length - 1 - offset, D_K, COMPUTE)
        of_value = _load((table + 2 * D_K * columns, columns, 1, inside), length - 1 + offset, D_V, COMPUTE)
    return of_query, of_key, of_value


@triton.jit
def _factors(scales, row, inside, heads, POSITIONS: tl.constexpr, COMPUTE: tl.constexpr):
    """The five scales of each row's head; without positions values are taken as they are, and nothing else is used."""
    at = scales + row % heads
    first = tl.load(at, mask=inside, other=0.0).to(COMPUTE)
    second, third, fourth, fifth = 1.0, 1.0, 1.0, 1.0
    if POSITIONS:
        second = tl.load(at + heads, mask=inside, other=0.0).to(COMPUTE)
        third = tl.load(at + 2 * heads, mask=inside, other=0.0).to(COMPUTE)
        fourth = tl.load(at + 3 * heads, mask=inside, other=0.0).to(COMPUTE)
        fifth = tl.load(at + 4 * heads, mask=inside, other=0.0).to(COMPUTE)
    return first, second, third, fourth, fifth


@triton.jit
def _logits(query, key, relative, factors, D_K: tl.constexpr, POSITIONS: tl.constexpr):
    """Logits in base 2, in every kernel with the same roundings: those of large logits would show in the weights.

    That is why it is left to no compiler which products and sums it takes together.
    """
    of_keys = _product(query, key, D_K)
    logits = tl.fma(factors[0] * LOG2E, of_keys, tl.zeros_like(of_keys))
    if POSITIONS:
        logits = tl.fma(factors[1] * LOG2E, _product(query, relative[0], D_K), logits)
        logits = tl.fma(factors[2] * LOG2E, _product(key, relative[1], D_K), logits)
    return logits


@triton.jit
def _of_weights(grads, value, relative, D_V: tl.constexpr, POSITIONS: tl.constexpr):
    """Both parts of the gradients ā of the weights, by values and by positions, without their scales."""
    by_values = _product(grads[0], value, D_V)
    by_positions = tl.zeros_like(by_values)
    if POSITIONS:
        by_positions = _product(grads[1], relative[2], D_V)
    return by_values, by_positions


@triton.jit
def _again(logits, of_weights, log_sums, means, lane, inside):
    """Weights a and gradients g of logits from what `backward_queries` kept of the lane's query."""
    weights = tl.exp2(logits - tl.load(log_sums + lane, mask=inside, other=0.0))
    return weights, weights * (of_weights - tl.load(means + lane, mask=inside, other=0.0))


@triton.jit
def _zeros(CHANNELS: tl.constexpr, LANES: tl.constexpr, COMPUTE: tl.constexpr):
    """Zero for each channel."""
    found = ()
    for _ in tl.static_range(CHANNELS):
        found += (tl.zeros([LANES], COMPUTE),)
    return found


@triton.jit
def _product(x, y, CHANNELS: tl.constexpr):
    """Σ x·y over channels."""
    total = x[0] * y[0]
    for c in tl.static_range(1, CHANNELS):
        total = tl.fma(x[c], y[c], total)
    return total


@triton.jit
def _scaled(x, factor, CHANNELS: tl.constexpr):
    """factor · x for each channel."""
    found = ()
    for c in tl.static_range(CHANNELS):
        found += (factor * x[c],)
    return found


@triton.jit
def _added(x, factor, y, CHANNELS: tl.constexpr):
    """x + factor · y for each channel."""
    found = ()
    for c in tl.static_range(CHANNELS):
        found += (x[c] + factor * y[c],)
    return found
