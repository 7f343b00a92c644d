"""GeoJSON as QuPath exports it: one file a picture.

Coordinates are in pixels of the full picture, (0, 0) is the outer corner of its first pixel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError

from .reading import Annotations, left_out_note, load_json, to_list, to_points
from .shapes import Outline


@dataclass(frozen=True, eq=False)
class Feature:
    """One annotation, detection or cell.

    Attributes:
        where: its place in the file, for messages.
        class_name: name of its classification, "" where it has none.
        title: its own name, "" where it has none.
        locked: whether it is locked.
        outlines: its polygons, each an object of its own, or parts of one; none for points and lines.
        without_area: kinds of its geometries that have no area.
    """

    where: str
    class_name: str
    title: str
    locked: bool
    outlines: tuple[Outline, ...]
    without_area: tuple[str, ...] = ()


def read_geojson(path: Path) -> Annotations:
    """Read Polygon and MultiPolygon features, in a FeatureCollection, a list, or alone.

    The class is the name of the feature's classification, "" where it has none. The polygons of a MultiPolygon, also
    within a GeometryCollection, are parts of one object. Points and lines are told in the notes.

    Raises:
        UserError: the file is not such GeoJSON.
    """
    features = read_features(path)
    shapes = tuple(outline for feature in features for outline in feature.outlines)
    return Annotations(shapes, notes=left_out_note(Counter(kind for one in features for kind in one.without_area)))


def read_features(path: Path) -> list[Feature]:
    """The same, feature by feature.

    Raises:
        UserError: the file is not such GeoJSON.
    """
    features = _features(load_json(path), path)
    return [_feature(feature, path, f"feature {number}") for number, feature in enumerate(features, start=1)]


def _feature(feature: Any, path: Path, where: str) -> Feature:
    properties = feature.get("properties")
    known = properties if isinstance(properties, dict) else {}
    name = _class_of(properties)
    polygons, without_area = [], []
    for kind, coordinates in _geometries(feature.get("geometry"), path, where):
        if kind == "Polygon":
            polygons.append(coordinates)
        elif kind == "MultiPolygon":
            polygons += _lists(coordinates, path, where)
        else:
            without_area.append(kind)
    part_of = where if len(polygons) > 1 else None
    outlines = tuple(_outline(rings, name, part_of, path, where) for rings in polygons)
    title = str(known.get("name") or "").strip()
    return Feature(where, name, title, known.get("isLocked") is True, outlines, tuple(without_area))


def _features(content: Any, path: Path) -> list[Any]:
    if isinstance(content, dict):
        kind = content.get("type")
        if kind not in ("FeatureCollection", "Feature"):
            raise UserError(f"{path} is not GeoJSON of QuPath: its type is {kind!r}, not FeatureCollection or Feature.")
        content = content.get("features") if kind == "FeatureCollection" else [content]
    return to_list(content, path, "the features")


def _class_of(properties: Any) -> str:
    """QuPath writes {"name": …}, since 0.5 {"names": [part, …]} for derived classes as well."""
    found = properties.get("classification") if isinstance(properties, dict) else None
    if not isinstance(found, dict):
        return ""
    names = found.get("names")
    return ": ".join(map(str, names)) if isinstance(names, list) else str(found.get("name") or "").strip()


def _geometries(geometry: Any, path: Path, where: str) -> Iterator[tuple[str, Any]]:
    """Type and coordinates of a geometry, or of the members of a collection, which does not hold another one."""
    if not isinstance(geometry, dict) or not isinstance(geometry.get("type"), str):
        raise UserError(f"{path}, {where} has no geometry; export the file again.")
    if geometry["type"] != "GeometryCollection":
        yield geometry["type"], geometry.get("coordinates")
        return
    for member in to_list(geometry.get("geometries"), path, f"the geometries of {where}"):
        yield str(member.get("type")), member.get("coordinates")


def _outline(rings: Any, name: str, part_of: str | None, path: Path, where: str) -> Outline:
    exterior, *holes = [to_points(ring, path, where) for ring in _lists(rings, path, where) or [[]]]
    return Outline(name, exterior, tuple(holes), part_of)


def _lists(value: Any, path: Path, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{path}, {where}: the coordinates are no list of lines; export the file again.")
    return value
