"""Instance normalisation and leaky ReLU in two passes over memory each way. Imports numba: import it lazily.

An image is (rows, period) float32 or the bits of bfloat16, whose `period` is a whole number of registers: its channels,
or, where these are fewer than a register has lanes, as many times its channels as fill one. `Sizes` says how images are
cut into chunks, each of whole rows of one image, by shape alone: sums come out the same with any number of threads.
"""

# mypy: disable-error-code="no-untyped-def"
# Numba finds the types of what it compiles; those that Python sees are annotated.

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, NamedTuple

from numba import njit

from medt_pipeline.attention import numba_lanes
from medt_pipeline.attention.numba_kernels import cached
from medt_pipeline.attention.numba_lanes import (
    load,
    load_float,
    maximum,
    muladd,
    pointer,
    splat,
    store,
    store_float,
    where_positive,
    widen,
)
from medt_pipeline.attention.numba_layout import INNER

BLOCK_FLOATS = 4096
"""Values that are summed in float32, 16 KiB of them, before they go to the sums in float64."""


class Sizes(NamedTuple):
    """How images are cut.

    Attributes:
        rows: of an image.
        registers: of a row.
        rows_a_chunk: of each chunk but an image's last.
        chunks_an_image: number.
        slope: of leaky ReLU below 0; 1 without it.
    """

    rows: int
    registers: int
    rows_a_chunk: int
    chunks_an_image: int
    slope: float


@njit(**INNER)
def _chunk(sizes, chunk):
    """Image, first row and the row behind the last."""
    image = chunk // sizes.chunks_an_image
    first = (chunk - image * sizes.chunks_an_image) * sizes.rows_a_chunk
    return image, first, min(first + sizes.rows_a_chunk, sizes.rows)


@njit(**INNER)
def _block_rows(sizes):
    return max(BLOCK_FLOATS // (16 * sizes.registers), 8)


@njit(**INNER)
def _add(sums, place, value):
    """Add a register to a sum in float64, which takes two."""
    low, high = widen(value)
    store(sums, 2 * place, load(sums, 2 * place) + low)
    store(sums, 2 * place + 1, load(sums, 2 * place + 1) + high)


@njit(**INNER)
def _centred(zero, x, coefficients, image, row, t, sizes):
    """(x - first coefficient) of a register."""
    mean = load(coefficients, image * sizes.registers + t)
    return load_float(x, (image * sizes.rows + row) * sizes.registers + t) - mean


def _forward_entries(stamp: int) -> tuple[Any, Any]:
    """The compiled functions of the forward; for `stamp` see `numba_kernels`."""

    @cached
    def moments(zero, bits, sizes, x, shifts, sums, first_chunk, last_chunk, thread):
        """Sums of x - shift and of its square, by chunk: (chunks, 2, period) float64."""
        _ = stamp
        values, shift, block = pointer(x, bits), pointer(shifts, zero), _block_rows(sizes)
        for chunk in range(first_chunk, last_chunk):
            image, first, last = _chunk(sizes, chunk)
            to = pointer(sums, 0.0)
            at = chunk * 2 * sizes.registers
            for begin in range(first, last, block):
                for t in range(sizes.registers):
                    total = square = splat(zero)
                    for row in range(begin, min(begin + block, last)):
                        value = _centred(zero, values, shift, image, row, t, sizes)
                        total = total + value
                        square = muladd(value, value, square)
                    _add(to, at + t, total)
                    _add(to, at + sizes.registers + t, square)

    @cached
    def apply(zero, bits, sizes, x, means, factors, offsets, result, first_chunk, last_chunk, thread):
        """Leaky ReLU of (x - mean) · factor + offset."""
        _ = stamp
        values, to, slope = pointer(x, bits), pointer(result, bits), splat(type(zero)(sizes.slope))
        mean, factor, offset = pointer(means, zero), pointer(factors, zero), pointer(offsets, zero)
        for chunk in range(first_chunk, last_chunk):
            image, first, last = _chunk(sizes, chunk)
            for row in range(first, last):
                for t in range(sizes.registers):
                    value = _centred(zero, values, mean, image, row, t, sizes)
                    here = image * sizes.registers + t
                    value = muladd(value, load(factor, here), load(offset, here))
                    store_float(to, (image * sizes.rows + row) * sizes.registers + t, maximum(value, value * slope))

    return moments, apply


def _backward_entries(stamp: int) -> tuple[Any, Any]:
    """Those of the backward."""

    @cached
    def gradient_sums(zero, bits, sizes, x, gradient, means, factors, offsets, sums, first_chunk, last_chunk, thread):
        """Sums of the gradient before leaky ReLU, and of it times x - mean, by chunk: (chunks, 2, period) float64."""
        _ = stamp
        values, given, slope = pointer(x, bits), pointer(gradient, bits), splat(type(zero)(sizes.slope))
        mean, factor, offset = pointer(means, zero), pointer(factors, zero), pointer(offsets, zero)
        block = _block_rows(sizes)
        for chunk in range(first_chunk, last_chunk):
            image, first, last = _chunk(sizes, chunk)
            to = pointer(sums, 0.0)
            at = chunk * 2 * sizes.registers
            for begin in range(first, last, block):
                for t in range(sizes.registers):
                    here = image * sizes.registers + t
                    by, plus = load(factor, here), load(offset, here)
                    total = product = splat(zero)
                    for row in range(begin, min(begin + block, last)):
                        value = _centred(zero, values, mean, image, row, t, sizes)
                        own = load_float(given, (image * sizes.rows + row) * sizes.registers + t)
                        own = where_positive(muladd(value, by, plus), own, own * slope)
                        total = total + own
                        product = muladd(own, value, product)
                    _add(to, at + t, total)
                    _add(to, at + sizes.registers + t, product)

    @cached
    def gradient_apply(
        zero,
        bits,
        sizes,
        x,
        gradient,
        means,
        factors,
        offsets,
        slopes,
        constants,
        result,
        first_chunk,
        last_chunk,
        thread,
    ):
        """factor · gradient before leaky ReLU + slope · (x - mean) + constant."""
        _ = stamp
        values, given, slope = pointer(x, bits), pointer(gradient, bits), splat(type(zero)(sizes.slope))
        mean, factor, offset = pointer(means, zero), pointer(factors, zero), pointer(offsets, zero)
        of_x, constant, to = pointer(slopes, zero), pointer(constants, zero), pointer(result, bits)
        for chunk in range(first_chunk, last_chunk):
            image, first, last = _chunk(sizes, chunk)
            for row in range(first, last):
                for t in range(sizes.registers):
                    here, place = image * sizes.registers + t, (image * sizes.rows + row) * sizes.registers + t
                    value = _centred(zero, values, mean, image, row, t, sizes)
                    by, own = load(factor, here), load_float(given, place)
                    own = where_positive(muladd(value, by, load(offset, here)), own, own * slope)
                    rest = muladd(value, load(of_x, here), load(constant, here))
                    store_float(to, place, muladd(own, by, rest))

    return gradient_sums, gradient_apply


_STAMP = zlib.crc32(b"".join(Path(source).read_bytes() for source in (__file__, numba_lanes.__file__)))
moments, apply = _forward_entries(_STAMP)
gradient_sums, gradient_apply = _backward_entries(_STAMP)
