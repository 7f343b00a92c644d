"""The sums over pairs of query and key, for a group of four queries. Imports numba: import this module lazily.

Four queries: keys are loaded, and gradients of keys and of the table loaded and stored, once for all of them.

`w` points to the scratch, `t` to the spread table; other names are places in the scratch, x[c,j] an array over keys,
a[c,i] one over queries, p[i,j] four rows over keys.
"""

# mypy: disable-error-code="no-untyped-def"
# Numba finds the types of what it compiles; those that Python sees are annotated.

from __future__ import annotations

from numba import njit

from medt_pipeline.attention.numba_lanes import load, muladd, splat, store
from medt_pipeline.attention.numba_layout import INNER, PAD


@njit(**INNER)
def products(zero, w, t, to, a, x, b, z, channels, positions, at, i):
    """For queries i…i+3: to[j] = Σ_c a[c,i] x[c,j].

    With `positions` also + b[c,i] t[c, i-j] + z[c,j] t[channels+c, i-j].
    """
    for j in range(at.length):
        s0 = s1 = s2 = s3 = splat(zero)
        offset = i - j + at.length - 1
        for c in range(channels):
            here, there = a + c * at.stride + i, load(w, x + c * at.stride + j)
            s0 = muladd(load(w, here), there, s0)
            s1 = muladd(load(w, here + 1), there, s1)
            s2 = muladd(load(w, here + 2), there, s2)
            s3 = muladd(load(w, here + 3), there, s3)
            if positions:
                here, o = b + c * at.stride + i, c * at.offset_stride + offset
                s0 = muladd(load(w, here), splat(t[o]), s0)
                s1 = muladd(load(w, here + 1), splat(t[o + 1]), s1)
                s2 = muladd(load(w, here + 2), splat(t[o + 2]), s2)
                s3 = muladd(load(w, here + 3), splat(t[o + 3]), s3)
                there, o = load(w, z + c * at.stride + j), (channels + c) * at.offset_stride + offset
                s0 = muladd(there, splat(t[o]), s0)
                s1 = muladd(there, splat(t[o + 1]), s1)
                s2 = muladd(there, splat(t[o + 2]), s2)
                s3 = muladd(there, splat(t[o + 3]), s3)
        store(w, to + j, s0)
        store(w, to + at.stride + j, s1)
        store(w, to + 2 * at.stride + j, s2)
        store(w, to + 3 * at.stride + j, s3)


@njit(**INNER)
def table_products(zero, w, t, to, b, b_rows, channels, at, i):
    """For queries i…i+3: to[j] = Σ_c b[c,i] t[b_rows+c, i-j]."""
    for j in range(at.length):
        s0 = s1 = s2 = s3 = splat(zero)
        for c in range(channels):
            here, o = b + c * at.stride + i, (b_rows + c) * at.offset_stride + i - j + at.length - 1
            s0 = muladd(load(w, here), splat(t[o]), s0)
            s1 = muladd(load(w, here + 1), splat(t[o + 1]), s1)
            s2 = muladd(load(w, here + 2), splat(t[o + 2]), s2)
            s3 = muladd(load(w, here + 3), splat(t[o + 3]), s3)
        store(w, to + j, s0)
        store(w, to + at.stride + j, s1)
        store(w, to + 2 * at.stride + j, s2)
        store(w, to + 3 * at.stride + j, s3)


@njit(**INNER)
def sums(zero, w, to, p, x, channels, at, i):
    """to[c,i] = Σ_j p[i,j] x[c,j] for queries i…i+3."""
    for c in range(channels):
        s0 = s1 = s2 = s3 = splat(zero)
        for j in range(at.length):
            there = load(w, x + c * at.stride + j)
            s0 = muladd(load(w, p + j), there, s0)
            s1 = muladd(load(w, p + at.stride + j), there, s1)
            s2 = muladd(load(w, p + 2 * at.stride + j), there, s2)
            s3 = muladd(load(w, p + 3 * at.stride + j), there, s3)
        here = to + c * at.stride + i
        store(w, here, s0)
        store(w, here + 1, s1)
        store(w, here + 2, s2)
        store(w, here + 3, s3)


@njit(**INNER)
def table_sums(zero, w, t, to, p, rows, channels, at, i):
    """to[c,i] = Σ_j p[i,j] t[rows+c, i-j] for queries i…i+3."""
    for c in range(channels):
        s0 = s1 = s2 = s3 = splat(zero)
        for j in range(at.length):
            o = (rows + c) * at.offset_stride + i - j + at.length - 1
            s0 = muladd(load(w, p + j), splat(t[o]), s0)
            s1 = muladd(load(w, p + at.stride + j), splat(t[o + 1]), s1)
            s2 = muladd(load(w, p + 2 * at.stride + j), splat(t[o + 2]), s2)
            s3 = muladd(load(w, p + 3 * at.stride + j), splat(t[o + 3]), s3)
        here = to + c * at.stride + i
        store(w, here, s0)
        store(w, here + 1, s1)
        store(w, here + 2, s2)
        store(w, here + 3, s3)


@njit(**INNER)
def add_to_keys(zero, w, to, p, a, channels, at, i):
    """to[c,j] += Σ p[i,j] a[c,i] over queries i…i+3."""
    for c in range(channels):
        here = a + c * at.stride + i
        a0, a1, a2, a3 = load(w, here), load(w, here + 1), load(w, here + 2), load(w, here + 3)
        for j in range(at.length):
            there = to + c * at.stride + j
            s = muladd(load(w, p + j), a0, load(w, there))
            s = muladd(load(w, p + at.stride + j), a1, s)
            s = muladd(load(w, p + 2 * at.stride + j), a2, s)
            store(w, there, muladd(load(w, p + 3 * at.stride + j), a3, s))


@njit(**INNER)
def add_to_keys_from_table(zero, w, t, to, p, rows, channels, at, i):
    """to[c,j] += Σ p[i,j] t[rows+c, i-j] over queries i…i+3."""
    for c in range(channels):
        for j in range(at.length):
            there = to + c * at.stride + j
            o = (rows + c) * at.offset_stride + i - j + at.length - 1
            s = muladd(load(w, p + j), splat(t[o]), load(w, there))
            s = muladd(load(w, p + at.stride + j), splat(t[o + 1]), s)
            s = muladd(load(w, p + 2 * at.stride + j), splat(t[o + 2]), s)
            store(w, there, muladd(load(w, p + 3 * at.stride + j), splat(t[o + 3]), s))


@njit(**INNER)
def add_to_table(zero, w, to, p, a, channels, at, i):
    """to[c,o] += Σ p[i,j] a[c,i] over queries i…i+3 and the key j with i - j = o.

    Four queries share an offset where their keys are j, j+1, j+2, j+3. At either end some of these do not exist: their
    weights are the zeros of the padding.
    """
    for c in range(channels):
        here = a + c * at.stride + i
        a0, a1, a2, a3 = load(w, here), load(w, here + 1), load(w, here + 2), load(w, here + 3)
        for j in range(-PAD, at.length):
            there = to + c * at.offset_stride + i - j + at.length - 1
            s = muladd(load(w, p + j), a0, load(w, there))
            s = muladd(load(w, p + at.stride + j + 1), a1, s)
            s = muladd(load(w, p + 2 * at.stride + j + 2), a2, s)
            store(w, there, muladd(load(w, p + 3 * at.stride + j + 3), a3, s))


@njit(**INNER)
def add_to_table_from_keys(zero, w, to, p, x, channels, at, i):
    """to[c,o] += Σ p[i,j] x[c,j] over queries i…i+3 and the key j with i - j = o."""
    for c in range(channels):
        for j in range(-PAD, at.length):
            there = to + c * at.offset_stride + i - j + at.length - 1
            key = x + c * at.stride + j
            s = muladd(load(w, p + j), load(w, key), load(w, there))
            s = muladd(load(w, p + at.stride + j + 1), load(w, key + 1), s)
            s = muladd(load(w, p + 2 * at.stride + j + 2), load(w, key + 2), s)
            store(w, there, muladd(load(w, p + 3 * at.stride + j + 3), load(w, key + 3), s))
