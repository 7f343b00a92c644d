"""Fused instance normalisation with leaky ReLU in Triton. Imports triton: import it lazily.

Maps are read as (images, positions, channels) without gaps. A program has a tile of positions × channels. `sums`
(images, 2, channels), in double precision, are those that `moments` gives for each chunk, added.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton finds the types of what it compiles.

from __future__ import annotations

import triton
import triton.language as tl

SIZES = ("positions", "tiles_a_chunk")
"""What kernels are not compiled anew for where it is 1 or a multiple of 16, as Triton else does."""


@triton.jit(do_not_specialize=SIZES)
def moments(x, partial, positions, channels, tiles_a_chunk, POSITIONS: tl.constexpr, CHANNELS: tl.constexpr):
    """Sums of x and x² about the image's first position over a chunk: `partial` (images, chunks, 2, channels)."""
    channel, there = _channels(channels, CHANNELS)
    shift = tl.load(x + _image() * positions * channels + channel, mask=there, other=0.0).to(tl.float32)
    sums = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    squares = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    first = tl.program_id(0) * tiles_a_chunk
    for tile in range(first, first + tiles_a_chunk):
        at, inside = _tile(tile, positions, channels, channel, there, POSITIONS)
        off = tl.where(inside, tl.load(x + at, mask=inside, other=0.0).to(tl.float32) - shift, 0.0)
        sums += off
        squares += off * off
    _store_sums(partial, sums, squares, channels, channel, there)


@triton.jit(do_not_specialize=SIZES)
def apply(
    x, sums, weight, bias, result, positions, channels, eps, slope, POSITIONS: tl.constexpr, CHANNELS: tl.constexpr
):
    """The normalised and activated map."""
    channel, there = _channels(channels, CHANNELS)
    mean, inverse = _statistics(x, sums, positions, channels, eps, channel, there)
    factor = inverse * tl.load(weight + channel, mask=there, other=0.0)
    offset = tl.load(bias + channel, mask=there, other=0.0)
    at, inside = _tile(tl.program_id(0), positions, channels, channel, there, POSITIONS)
    value = (tl.load(x + at, mask=inside, other=0.0).to(tl.float32) - mean) * factor + offset
    tl.store(result + at, tl.where(value > 0, value, slope * value), mask=inside)


@triton.jit(do_not_specialize=SIZES)
def gradient_sums(
    x,
    gradient,
    sums,
    weight,
    bias,
    partial,
    positions,
    channels,
    tiles_a_chunk,
    eps,
    slope,
    POSITIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Sums of the gradient before the activation, and of it times the normalised x, as `moments` stores them."""
    channel, there = _channels(channels, CHANNELS)
    mean, inverse = _statistics(x, sums, positions, channels, eps, channel, there)
    factor = tl.load(weight + channel, mask=there, other=0.0)
    offset = tl.load(bias + channel, mask=there, other=0.0)
    of_bias = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    of_weight = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    first = tl.program_id(0) * tiles_a_chunk
    for tile in range(first, first + tiles_a_chunk):
        at, inside = _tile(tile, positions, channels, channel, there, POSITIONS)
        normalised = (tl.load(x + at, mask=inside, other=0.0).to(tl.float32) - mean) * inverse
        inner = _before_activation(gradient, at, inside, normalised * factor + offset, slope)
        of_bias += inner
        of_weight += inner * normalised
    _store_sums(partial, of_bias, of_weight, channels, channel, there)


@triton.jit(do_not_specialize=SIZES)
def gradient_apply(
    x,
    gradient,
    sums,
    gradient_totals,
    weight,
    bias,
    of_x,
    positions,
    channels,
    eps,
    slope,
    POSITIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """The gradient of x; `gradient_totals` (images, 2, channels) are what `gradient_sums` gave, summed over chunks."""
    channel, there = _channels(channels, CHANNELS)
    mean, inverse = _statistics(x, sums, positions, channels, eps, channel, there)
    factor = tl.load(weight + channel, mask=there, other=0.0)
    offset = tl.load(bias + channel, mask=there, other=0.0)
    total = gradient_totals + _image() * 2 * channels + channel
    mean_of_bias = (tl.load(total, mask=there, other=0.0) / positions).to(tl.float32)
    mean_of_weight = (tl.load(total + channels, mask=there, other=0.0) / positions).to(tl.float32)
    at, inside = _tile(tl.program_id(0), positions, channels, channel, there, POSITIONS)
    normalised = (tl.load(x + at, mask=inside, other=0.0).to(tl.float32) - mean) * inverse
    inner = _before_activation(gradient, at, inside, normalised * factor + offset, slope)
    tl.store(of_x + at, factor * inverse * (inner - mean_of_bias - normalised * mean_of_weight), mask=inside)


@triton.jit
def _image():
    """Number of the program's image; in 64 bits, for it indexes tensors."""
    return tl.program_id(1).to(tl.int64)


@triton.jit
def _channels(channels, CHANNELS: tl.constexpr):
    """The program's channels, and which of them there are."""
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    return channel, channel < channels


@triton.jit
def _tile(tile, positions, channels, channel, there, POSITIONS: tl.constexpr):
    """Where the entries of a tile of the program's image lie, and which of them there are."""
    position = tile * POSITIONS + tl.arange(0, POSITIONS)[:, None]
    return (_image() * positions + position) * channels + channel, there & (position < positions)


@triton.jit
def _statistics(x, sums, positions, channels, eps, channel, there):
    """Mean and 1 / √(variance + eps) of each channel."""
    shift = tl.load(x + _image() * positions * channels + channel, mask=there, other=0.0).to(tl.float32)
    at = sums + _image() * 2 * channels + channel
    off = tl.load(at, mask=there, other=0.0) / positions
    variance = tl.load(at + channels, mask=there, other=1.0) / positions - off * off
    return shift + off.to(tl.float32), 1.0 / tl.sqrt(tl.maximum(variance, 0.0).to(tl.float32) + eps)


@triton.jit
def _before_activation(gradient, at, inside, value, slope):
    """The gradient before leaky ReLU, of which `value` was the input."""
    after = tl.load(gradient + at, mask=inside, other=0.0).to(tl.float32)
    return tl.where(value > 0, after, slope * after)


@triton.jit
def _store_sums(partial, first, second, channels, channel, there):
    """Both sums of a chunk over its positions."""
    chunk = _image() * tl.num_programs(0) + tl.program_id(0)
    at = partial + chunk * 2 * channels + channel
    tl.store(at, tl.sum(first, 0, keep_dims=True), mask=there)
    tl.store(at + channels, tl.sum(second, 0, keep_dims=True), mask=there)
