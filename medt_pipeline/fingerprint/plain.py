"""Records as plain JSON and back."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

import numpy as np

Record = TypeVar("Record")

DIGITS = 6
"""Digits that are kept of a number with a fraction: more are noise in a fact about images."""


def to_plain(value: Any) -> Any:
    """`value` as JSON holds it: records become objects and tuples lists; what is no number becomes None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def from_plain(kind: type[Record], content: Any) -> Record:
    """The record of type `kind` that `to_plain` turned into `content`.

    Raises:
        KeyError: `content` lacks a field.
        TypeError: it has another form.
    """
    return typing.cast(Record, _restore(kind, content))


def _restore(kind: Any, content: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return kind(**{one.name: _restore(hints[one.name], content[one.name]) for one in dataclasses.fields(kind)})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = next(one for one in arguments if one is not types.NoneType)
        return None if content is None else _restore(inner, content)
    if origin is tuple:
        return tuple(_restore(arguments[0], one) for one in content)
    if origin is list:
        return [_restore(arguments[0], one) for one in content]
    if origin is dict:
        return {key: _restore(arguments[1], one) for key, one in content.items()}
    return float(content) if kind is float else content
