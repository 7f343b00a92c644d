"""In which order results of the attention lie in memory: that of the input, so that no layer has to copy.

An image whose channels lie behind each other ("channels last") then stays one through the attention, along either axis.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def dense_strides(tensor: Tensor) -> list[int]:
    """Strides of a tensor without gaps of the shape of `tensor`, its dimensions in the same order in memory."""
    return _strides(tensor.shape, _order(tensor))


def empty_result(qkv: Tensor, relative: Tensor | None, d_k: int, joined: bool) -> Tensor:
    """Memory for the result of `axial_attention`: (cases, lines, parts, heads, d_v, L).

    The parts stand before the heads, also in memory: where `qkv` is a channels-last image, so is the result, with the
    channels of Σ a·v before those of Σ a·r^v.
    """
    cases, lines, heads, channels, length = qkv.shape
    parts = 2 if relative is not None and not joined else 1
    shape = (cases, lines, parts, heads, channels - 2 * d_k, length)
    place = {0: [0], 1: [1], 2: [2, 3], 3: [4], 4: [5]}
    return qkv.new_empty_strided(shape, _strides(shape, [dim for old in _order(qkv) for dim in place[old]]))


def _order(tensor: Tensor) -> list[int]:
    """Dimensions from the largest stride to the smallest."""
    strides = tensor.stride()
    return sorted(range(len(strides)), key=lambda dim: (-strides[dim], dim))


def _strides(shape: Sequence[int], order: Sequence[int]) -> list[int]:
    strides, step = [0] * len(shape), 1
    for dim in reversed(order):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return strides
