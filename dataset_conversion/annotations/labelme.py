"""LabelMe: one JSON file a picture.

Coordinates are those of LabelMe's canvas, on which (0, 0) is the outer corner of the first pixel. Its own export to
masks rounds to pixels and draws the line as well, so it is up to a pixel wider.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medt_pipeline.core.errors import UserError

from .reading import Annotations, left_out_note, load_json, to_length, to_list, to_points
from .shapes import Outline, Patch, PixelMask, Shape

CORNERS_OF_CIRCLE = 720
"""A circle of 500 pixels is drawn to a two-hundredth of a pixel."""
_WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(path: Path) -> Annotations:
    """Read polygons, rectangles, circles and masks; those of one label and `group_id` are one object.

    Points and lines have no area and are told in the notes.

    Raises:
        UserError: the file is not what LabelMe writes.
    """
    content = load_json(path)
    if not isinstance(content, dict) or "shapes" not in content:
        raise UserError(f"{path} is not a LabelMe file: it has no 'shapes'.")
    shapes: list[Shape] = []
    without_area: Counter[str] = Counter()
    for number, entry in enumerate(to_list(content["shapes"], path, "'shapes'"), start=1):
        kind = str(entry.get("shape_type") or "polygon")
        if kind in _WITHOUT_AREA:
            without_area[kind] += 1
        else:
            shapes.append(_shape(entry, kind, path, f"shape {number}"))
    return Annotations(tuple(shapes), _size(content, path), left_out_note(without_area))


def _size(content: Mapping[str, Any], path: Path) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if height is None or width is None:
        return None
    return to_length(height, path, "imageHeight"), to_length(width, path, "imageWidth")


def _shape(entry: Mapping[str, Any], kind: str, path: Path, where: str) -> Shape:
    name = str(entry.get("label") or "").strip()
    group = entry.get("group_id")
    part_of = None if group is None else f"{name} {group}"
    points = to_points(entry.get("points") or [], path, where)
    if kind == "mask":
        return _mask(entry, points, path, where, name, part_of)
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    elif kind == "circle" and len(points) == 2:
        points = _circle(*points)
    elif kind == "circle" or (kind not in ("polygon", "rectangle", "oriented_rectangle")):
        raise UserError(f"{path}, {where}: a {kind!r} of {len(points)} points is not understood; draw it as a polygon.")
    return Outline(name, points, part_of=part_of)


def _circle(centre: np.ndarray, on_it: np.ndarray) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, CORNERS_OF_CIRCLE, endpoint=False)
    radius = np.hypot(*(on_it - centre))
    return centre + radius * np.column_stack([np.cos(angles), np.sin(angles)])


def _mask(
    entry: Mapping[str, Any], points: np.ndarray, path: Path, where: str, name: str, part_of: str | None
) -> PixelMask:
    """A PNG in base64 whose first pixel lies at the first point."""
    try:
        picture = base64.b64decode(entry["mask"], validate=True)
        # opened as PNG only: no other decoder sees bytes of strangers
        with Image.open(io.BytesIO(picture), formats=["PNG"]) as image:
            inside = np.array(image.convert("L")) > 0
        left, top = points[0].astype(int).tolist()
    except (KeyError, TypeError, IndexError, binascii.Error, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}, {where}: the mask cannot be read ({error}); draw it again.") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}, {where}: the mask claims more pixels than is safe to read.") from None
    return PixelMask(name, float(inside.sum()), partial(Patch, top, left, inside), part_of)
