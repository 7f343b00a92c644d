"""What the readers of annotation files share: their result, bounded reading, and checked coordinates."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medt_pipeline.core.errors import UserError

from ..problems import count, some
from .shapes import Shape

MOST_BYTES = 512 * 2**20
"""A JSON text takes some ten times its size in memory."""
FARTHEST = 1e6
"""Coordinates in pixels; no picture of this pipeline is as large."""
LONGEST = 1e7
"""Pixels that one outline may go up and down in all: each costs a crossing when it is filled."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """What an annotation file says about one picture.

    Attributes:
        shapes: in the order of the file.
        size: (height, width) of the picture as the file tells it; None where it does not.
        notes: sentences on entries that are no shape with an area.
    """

    shapes: tuple[Shape, ...]
    size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


def require_readable(path: Path) -> Path:
    """Return `path` if it is a file of bearable size.

    Raises:
        UserError: it is missing, a folder, or above `MOST_BYTES`.
    """
    if not path.is_file():
        raise UserError(f"The annotation file {path} does not exist or is a folder; check the spelling.")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UserError(f"{path} has {size >> 20} MiB, more than {MOST_BYTES >> 20} MiB; split it into several files.")
    return path


def load_json(path: Path) -> Any:
    """Read a JSON file of somebody else.

    Raises:
        UserError: it is missing, too large, nested too deeply, or no JSON; NaN and Infinity are none.
    """
    try:
        return json.loads(require_readable(path).read_text(encoding="utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise UserError(f"{path} is nested too deeply for an annotation file; export it again.") from None
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not valid JSON ({error}); export it again.") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def to_points(values: Any, path: Path, where: str) -> np.ndarray:
    """Coordinates as (N, 2) float64: from [[x, y], …], whose further columns are dropped, or from [x, y, x, y, …].

    Raises:
        UserError: they are no numbers, not finite, beyond `FARTHEST`, or make a line longer than `LONGEST`; the
            sentence names `path` and `where`.
    """
    points = to_numbers(values, path, where)
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim == 1 and len(points) % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] < 2:
        raise UserError(f"{path}, {where}: the coordinates are no list of x and y; export the file again.")
    points = points[:, :2]
    if np.abs(points).max() > FARTHEST:
        raise UserError(f"{path}, {where}: a coordinate is {np.abs(points).max():g} pixels off; export the file again.")
    if np.abs(np.diff(points[:, 1])).sum() > LONGEST:
        raise UserError(f"{path}, {where}: the outline is longer than any picture needs; draw it again.")
    return points


def to_numbers(values: Any, path: Path, where: str) -> np.ndarray:
    """Any nested list of numbers as float64.

    Raises:
        UserError: it is ragged, or holds something else or numbers that are not finite.
    """
    try:
        numbers = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        numbers = np.array(None)
    if numbers.size and numbers.dtype.kind not in "iuf":
        raise UserError(f"{path}, {where}: the coordinates are not all numbers; export the file again.")
    if not np.isfinite(numbers.astype(np.float64)).all():
        raise UserError(f"{path}, {where}: a coordinate is not finite; export the file again.")
    return numbers.astype(np.float64)


def to_length(value: Any, path: Path, where: str) -> int:
    """A height or width in pixels.

    Raises:
        UserError: it is no whole number from 1 to `FARTHEST`.
    """
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not whole or not 1 <= value <= FARTHEST:
        raise UserError(f"{path}, {where}: {value!r} is no number of pixels; export the file again.")
    return int(value)


def to_list(value: Any, path: Path, where: str) -> list[Any]:
    """A list of objects (dicts).

    Raises:
        UserError: it is anything else.
    """
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise UserError(f"{path}: {where} must be a list of objects; export the file again.")
    return value


def left_out_note(kinds: Counter[str]) -> tuple[str, ...]:
    """A sentence on entries that have no area, counted by what they are; () where there are none."""
    if not kinds:
        return ()
    shown = some([f"{number} {kind}" for kind, number in sorted(kinds.items())])
    return (f"{count(kinds.total(), 'entry').replace('entrys', 'entries')} without area left out: {shown}",)
