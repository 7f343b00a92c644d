"""A SIMD register as a Numba type, and what the attention kernels do with it. Imports numba: import this module lazily.

Written out rather than left to LLVM's vectoriser, which cannot see that the kernels' arrays do not overlap.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel import PrimitiveModel
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

LANE_BITS = 512
"""Bits of a `Lanes`: two AVX2 or one AVX-512 register; LLVM splits it where registers are narrower."""


EXP2 = {
    bits: [math.log(2) ** power / math.factorial(power) for power in range(degree + 1)]
    for bits, degree in ((32, 7), (64, 13))
}
"""Taylor coefficients of 2^x by bits; on [-1/2, 1/2] the polynomials' relative errors are 8e-9 and 6e-18."""


class Lanes(types.Type):
    """Numba type of a SIMD register of `scalar`."""

    def __init__(self, scalar: types.Float) -> None:
        self.scalar = scalar
        self.count = LANE_BITS // scalar.bitwidth
        super().__init__(name=f"Lanes({scalar})")


@register_model(Lanes)
class _LanesModel(PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        scalar = manager.lookup(lanes.scalar).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(scalar, lanes.count))


@infer_global(operator.add)
@infer_global(operator.sub)
@infer_global(operator.mul)
@infer_global(operator.truediv)
class _Arithmetic(AbstractTemplate):
    def generic(self, args: tuple[Any, ...], kws: Any) -> Any:
        if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
            return signature(args[0], *args)
        return None


for _operator, _instruction in (
    (operator.add, ir.IRBuilder.fadd),
    (operator.sub, ir.IRBuilder.fsub),
    (operator.mul, ir.IRBuilder.fmul),
    (operator.truediv, ir.IRBuilder.fdiv),
):

    @lower_builtin(_operator, Lanes, Lanes)
    def _lower(context: Any, builder: Any, sig: Any, args: Any, instruction: Any = _instruction) -> Any:
        return instruction(builder, *args)


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    """All lanes of a register of type `vector` set to `scalar`."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def _muladd(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, fused where the processor has it (`llvm.fma` would call a library function where it has not)."""
    kind = ir.FunctionType(a.type, [a.type] * 3)
    letter = "f32" if isinstance(a.type.element, ir.FloatType) else "f64"
    function = builder.module.declare_intrinsic(f"llvm.fmuladd.v{a.type.count}{letter}", fnty=kind)
    return builder.call(function, [a, b, c])


def _address(builder: Any, pointer: Any, index: Any, vector: Any) -> Any:
    first = builder.gep(pointer, [builder.mul(index, index.type(vector.count))])
    return builder.bitcast(first, vector.as_pointer())


@intrinsic
def pointer(typing: Any, address: Any, zero: Any) -> Any:
    """The integer `address` as a pointer to values of the type of `zero`."""
    kind = types.CPointer(zero)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(types.int64, zero), generate


@intrinsic
def load(typing: Any, start: Any, index: Any) -> Any:
    """Register number `index` behind the pointer `start`."""
    lanes = Lanes(start.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(_address(builder, args[0], args[1], context.get_value_type(lanes)))
        value.align = start.dtype.bitwidth // 8
        return value

    return lanes(start, types.int64), generate


@intrinsic
def store(typing: Any, start: Any, index: Any, lanes: Any) -> Any:
    """Write register number `index` behind the pointer `start`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        written = builder.store(args[2], _address(builder, args[0], args[1], args[2].type))
        written.align = start.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(start, types.int64, lanes), generate


@intrinsic
def load_float(typing: Any, start: Any, index: Any) -> Any:
    """`load` of float32, or of bfloat16 that is brought to float32: `start` points to its bits, as uint16."""
    lanes = Lanes(types.float32)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(lanes)
        if start.dtype == types.float32:
            value = builder.load(_address(builder, args[0], args[1], vector))
            value.align = 4
            return value
        halves = ir.VectorType(ir.IntType(16), lanes.count)
        bits = builder.load(_address(builder, args[0], args[1], halves))
        bits.align = 2
        whole = ir.VectorType(ir.IntType(32), lanes.count)
        shift = ir.Constant(whole, [16] * lanes.count)
        return builder.bitcast(builder.shl(builder.zext(bits, whole), shift), vector)

    return lanes(start, types.int64), generate


@intrinsic
def store_float(typing: Any, start: Any, index: Any, lanes: Any) -> Any:
    """The reverse of `load_float`; to the nearest bfloat16, halves to even. A NaN stays one."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[2]
        if start.dtype == types.float32:
            written = builder.store(value, _address(builder, args[0], args[1], value.type))
            written.align = 4
            return context.get_dummy_value()
        count = value.type.count
        whole, halves = ir.VectorType(ir.IntType(32), count), ir.VectorType(ir.IntType(16), count)

        def constant(number: int) -> Any:
            return ir.Constant(whole, [number] * count)

        bits = builder.bitcast(value, whole)
        odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
        rounded = builder.add(builder.add(bits, constant(0x7FFF)), odd)
        # rounding up the bits of a NaN could make an infinity of it
        kept = builder.select(builder.fcmp_unordered("uno", value, value), constant(0x7FC00000), rounded)
        narrow = builder.trunc(builder.lshr(kept, constant(16)), halves)
        written = builder.store(narrow, _address(builder, args[0], args[1], halves))
        written.align = 2
        return context.get_dummy_value()

    return types.void(start, types.int64, lanes), generate


@intrinsic
def where_positive(typing: Any, condition: Any, a: Any, b: Any) -> Any:
    """`a` in lanes where `condition` is above 0, else `b`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = ir.Constant(args[0].type, [0.0] * args[0].type.count)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], args[2])

    return a(condition, a, a), generate


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """All lanes set to `scalar`."""
    lanes = Lanes(scalar)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, args[0], context.get_value_type(lanes))

    return lanes(scalar), generate


@intrinsic
def muladd(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """A b + c for each lane."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _muladd(builder, *args)

    return a(a, a, a), generate


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """The larger for each lane; a NaN in `b` is passed on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return a(a, a), generate


@intrinsic
def exp2(typing: Any, x: Any) -> Any:
    """2^x for x ≤ 0, within about one unit in the last place; below the smallest normal number: that number; NaN stays.

    x = n + f with |f| ≤ 1/2: adding 1.5 · 2^mantissa leaves n in the lowest bits. 2^f is a polynomial; n is then added
    to its exponent field.
    """
    bits = x.scalar.bitwidth
    mantissa, lowest = (23, -126.0) if bits == 32 else (52, -1022.0)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = args[0].type
        whole = ir.VectorType(ir.IntType(bits), vector.count)

        def constant(value: float) -> Any:
            return ir.Constant(vector, [value] * vector.count)

        bounded = builder.select(builder.fcmp_ordered("<", args[0], constant(lowest)), constant(lowest), args[0])
        shifter = constant(1.5 * 2.0**mantissa)
        shifted = builder.fadd(bounded, shifter)
        fraction = builder.fsub(bounded, builder.fsub(shifted, shifter))
        value = constant(_rounded(EXP2[bits][-1], bits))
        for coefficient in EXP2[bits][-2::-1]:
            value = _muladd(builder, value, fraction, constant(_rounded(coefficient, bits)))
        exponent = builder.shl(builder.bitcast(shifted, whole), ir.Constant(whole, [mantissa] * vector.count))
        return builder.bitcast(builder.add(builder.bitcast(value, whole), exponent), vector)

    return x(x), generate


def _rounded(value: float, bits: int) -> float:
    return float(np.float32(value)) if bits == 32 else value


@intrinsic
def widen(typing: Any, lanes: Any) -> Any:
    """A register in double precision, as two of half as many lanes; a double one as itself and zeros."""
    double = Lanes(types.float64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(double)
        if lanes == double:
            halves = [args[0], ir.Constant(vector, [0.0] * double.count)]
        else:
            masks = [list(range(half, half + double.count)) for half in (0, double.count)]
            halves = [builder.fpext(_shuffle(builder, args[0], args[0], mask), vector) for mask in masks]
        return context.make_tuple(builder, sig.return_type, halves)

    return types.UniTuple(double, 2)(lanes), generate


@intrinsic
def total(typing: Any, lanes: Any) -> Any:
    """Sum over the lanes, always in the same order."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[0]
        while value.type.count > 1:
            half = value.type.count // 2
            whole = ir.VectorType(ir.IntType(32), half)
            undefined = ir.Constant(value.type, ir.Undefined)
            lower = builder.shuffle_vector(value, undefined, ir.Constant(whole, list(range(half))))
            upper = builder.shuffle_vector(value, undefined, ir.Constant(whole, list(range(half, 2 * half))))
            value = builder.fadd(lower, upper)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return lanes.scalar(lanes), generate


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Two registers of two values, or four of four, transposed."""
    if len(rows) == 2:
        return [_shuffle(builder, rows[0], rows[1], mask) for mask in ([0, 2], [1, 3])]
    low = [_shuffle(builder, a, b, [0, 4, 1, 5]) for a, b in (rows[:2], rows[2:])]
    high = [_shuffle(builder, a, b, [2, 6, 3, 7]) for a, b in (rows[:2], rows[2:])]
    return [_shuffle(builder, a, b, mask) for a, b in (low, high) for mask in ([0, 1, 4, 5], [2, 3, 6, 7])]


def _shuffle(builder: Any, a: Any, b: Any, mask: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(mask)), mask))


def _row_address(builder: Any, memory: Any, starts: Any, lane: int, offset: Any, row: Any) -> Any:
    start = builder.load(builder.gep(starts, [ir.Constant(ir.IntType(64), lane)]))
    return builder.bitcast(builder.gep(memory, [builder.add(start, offset)]), row.as_pointer())


def _load_tile(width: int, typing: Any, memory: Any, starts: Any, offset: Any) -> Any:
    """`width` consecutive values as registers: lane l of register c is memory[starts[l] + offset + c]."""
    lanes = Lanes(memory.dtype)
    tile = types.UniTuple(lanes, width)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        row = ir.VectorType(context.get_value_type(memory.dtype), width)
        registers: list[list[Any]] = [[] for _ in range(width)]
        for first in range(0, lanes.count, width):
            rows = []
            for lane in range(first, first + width):
                rows.append(builder.load(_row_address(builder, args[0], args[1], lane, args[2], row)))
                rows[-1].align = memory.dtype.bitwidth // 8
            for parts, part in zip(registers, _transpose(builder, rows), strict=True):
                parts.append(part)
        return context.make_tuple(builder, tile, [_joined(builder, parts) for parts in registers])

    return tile(memory, starts, types.int64), generate


def _joined(builder: Any, parts: list[Any]) -> Any:
    """Registers one behind the other; their number is a power of two."""
    while len(parts) > 1:
        mask = list(range(2 * parts[0].type.count))
        parts = [_shuffle(builder, a, b, mask) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _store_tile(memory: Any, starts: Any, offset: Any, *registers: Any) -> Any:
    """The reverse of `_load_tile`."""
    width = len(registers)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        row = ir.VectorType(args[3].type.element, width)
        for first in range(0, args[3].type.count, width):
            mask = list(range(first, first + width))
            columns = [_shuffle(builder, register, register, mask) for register in args[3:]]
            for lane, values in enumerate(_transpose(builder, columns), first):
                written = builder.store(values, _row_address(builder, args[0], args[1], lane, args[2], row))
                written.align = memory.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(memory, starts, types.int64, *registers), generate


@intrinsic
def load_pair(typing: Any, memory: Any, starts: Any, offset: Any) -> Any:
    """Two consecutive values as two registers: lane l of register c is memory[starts[l] + offset + c]."""
    return _load_tile(2, typing, memory, starts, offset)


@intrinsic
def load_quad(typing: Any, memory: Any, starts: Any, offset: Any) -> Any:
    """Four consecutive values as four registers: lane l of register c is memory[starts[l] + offset + c]."""
    return _load_tile(4, typing, memory, starts, offset)


@intrinsic
def store_pair(typing: Any, memory: Any, starts: Any, offset: Any, first: Any, second: Any) -> Any:
    """The reverse of `load_pair`."""
    return _store_tile(memory, starts, offset, first, second)


@intrinsic
def store_quad(
    typing: Any, memory: Any, starts: Any, offset: Any, first: Any, second: Any, third: Any, fourth: Any
) -> Any:
    """The reverse of `load_quad`."""
    return _store_tile(memory, starts, offset, first, second, third, fourth)
