"""What a field of a frozen dataclass may hold, read off its type and its limits: checks, and words that say it."""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

LIMITS = "limits"
"""Key of a field's metadata."""


@dataclass(frozen=True)
class Limits:
    """Range of the numbers in a field.

    Attributes:
        least: smallest that is allowed; None: no limit.
        most: largest that is allowed; None: no limit.
        above: `least` itself is not allowed.
        choices: what a text may be, where the type does not say it; empty: anything.
        distinct: entries of a list must differ.
    """

    least: float | None = None
    most: float | None = None
    above: bool = False
    choices: tuple[str, ...] = ()
    distinct: bool = False

    def allow(self, number: float) -> bool:
        """Whether `number` lies in the range; NaN and infinity never do."""
        if not math.isfinite(number):
            return False
        if self.least is not None and (number < self.least or (self.above and number == self.least)):
            return False
        return self.most is None or number <= self.most

    def words(self) -> str:
        """ "of at least 1", "above 0 and at most 1", or nothing."""
        least = None if self.least is None else f"{'above' if self.above else 'of at least'} {self.least:g}"
        most = None if self.most is None else f"at most {self.most:g}"
        if least and most:
            return f"{least} and {most}"
        return least or (f"of {most}" if most else "")


def within(least: float | None = None, most: float | None = None, **limits: Any) -> dict[str, Limits]:
    """Metadata of a field with `Limits`, for `dataclasses.field(metadata=…)`."""
    return {LIMITS: Limits(least, most, **limits)}


@dataclass(frozen=True)
class Key:
    """One key that a file or a user may set.

    Attributes:
        name: of the key.
        kind: its type.
        limits: range of its numbers.
        required: it has no default.
    """

    name: str
    kind: Any
    limits: Limits
    required: bool

    def words(self) -> str:
        """What is allowed, such as "a whole number of at least 1"."""
        return words_for(self.kind, self.limits)

    def wrong(self, value: Any) -> list[str]:
        """One sentence for everything that is wrong with `value`, as JSON holds it; empty where it may stand."""
        return list(_wrong(self.name, self.kind, self.limits, value))


def keys_of(record: type) -> dict[str, Key]:
    """The keys of a dataclass, in its order."""
    hints = typing.get_type_hints(record)
    return {
        one.name: Key(
            one.name,
            hints[one.name],
            one.metadata.get(LIMITS, Limits()),
            one.default is MISSING and one.default_factory is MISSING,
        )
        for one in fields(record)
    }


def mistakes(record: type, content: Any) -> list[str]:
    """Everything that is wrong with `content` as the keys of `record`, one sentence each; empty where nothing is."""
    keys = keys_of(record)
    if not isinstance(content, Mapping):
        return [f"it must be an object with the keys {', '.join(keys)}"]
    unknown = [unknown_key(name, keys) for name in content if name not in keys]
    required = [key for key in keys.values() if key.required and key.name not in content]
    missing = [f"`{key.name}` is missing; it must be {key.words()}" for key in required]
    wrong = [line for key in keys.values() if key.name in content for line in key.wrong(content[key.name])]
    return unknown + missing + wrong


def unknown_key(name: object, keys: Mapping[str, Key]) -> str:
    """The sentence for a key that does not exist, with the nearest that does, or all of them."""
    near = difflib.get_close_matches(str(name), keys, n=1)
    return f"`{name}` is not a key" + (f" (did you mean `{near[0]}`?)" if near else f"; the keys are {', '.join(keys)}")


def frozen(value: Any) -> Any:
    """`value` with lists as tuples, so that a frozen record holds nothing that changes."""
    return tuple(frozen(one) for one in value) if isinstance(value, (list, tuple)) else value


def inner_kind(kind: Any) -> tuple[Any, bool]:
    """`kind` without None, and whether None is allowed."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(kind) if one is not types.NoneType]
        return rest[0], len(rest) < len(typing.get_args(kind))
    return kind, False


def words_for(kind: Any, limits: Limits) -> str:
    """What a value of `kind` within `limits` is, in words."""
    kind, optional = inner_kind(kind)
    if optional:
        return f"{words_for(kind, limits)}, or null"
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return f"{'a whole number' if kind is int else 'a number'} {limits.words()}".strip()
    if origin is Literal or kind is str:
        options = arguments or limits.choices
        return f"one of {', '.join(options)}" if options else "a text"
    if origin is tuple and arguments[-1] is Ellipsis:
        distinct = " without repetition" if limits.distinct else ""
        return f"a list{distinct}, each entry {words_for(arguments[0], limits)}"
    if origin is tuple:
        return f"a list of {len(arguments)}, each {words_for(arguments[0], limits)}"
    names = ", ".join(typing.get_args(arguments[0]))
    return f"an object with the keys {names}, each {words_for(arguments[1], limits)}"


def _wrong(path: str, kind: Any, limits: Limits, value: Any) -> typing.Iterator[str]:
    kind, optional = inner_kind(kind)
    if optional and value is None:
        return
    refused = f"`{path}` must be {words_for(kind, limits)}{', or null' if optional else ''}, got {_shown(value)}"
    if typing.get_origin(kind) is Mapping:
        yield from _wrong_in_object(path, typing.get_args(kind), limits, value, refused)
    elif not _fits(kind, limits, value):
        yield refused


def _wrong_in_object(
    path: str, arguments: tuple[Any, ...], limits: Limits, value: Any, refused: str
) -> typing.Iterator[str]:
    names = typing.get_args(arguments[0])
    if not isinstance(value, Mapping):
        yield refused
        return
    for name in value:
        if name not in names:
            yield f"`{path}.{name}` is not a key; the keys are {', '.join(names)}"
    for name in names:
        if name in value:
            yield from _wrong(f"{path}.{name}", arguments[1], limits, value[name])
        else:
            yield f"`{path}.{name}` is missing; it must be {words_for(arguments[1], limits)}"


def _fits(kind: Any, limits: Limits, value: Any) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool) and limits.allow(value)
    if origin is Literal or kind is str:
        options = arguments or limits.choices
        return isinstance(value, str) and (not options or value in options)
    if not isinstance(value, (list, tuple)):
        return False
    if arguments[-1] is Ellipsis:
        distinct = not limits.distinct or len({str(one) for one in value}) == len(value)
        return distinct and all(_fits(arguments[0], limits, one) for one in value)
    return len(value) == len(arguments) and all(map(lambda one, of: _fits(of, limits, one), value, arguments))


def _shown(value: Any) -> str:
    """`value` as JSON has it but texts in single quotes, cut where it is long."""
    plain = {"True": "true", "False": "false", "None": "null"}
    text = plain.get(repr(value), repr(value))
    return text if len(text) <= 60 else text[:57] + "…"
