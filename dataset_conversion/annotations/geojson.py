"""GeoJSON as QuPath exports it: one file a picture.

Coordinates are in pixels of the full picture, (0, 0) is the outer corner of its first pixel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError

from .reading import Annotations, left_out_note, load_json, to_list, to_points
from .shapes import Outline


def read_geojson(path: Path) -> Annotations:
    """Read Polygon and MultiPolygon features, in a FeatureCollection, a list, or alone.

    The class is the name of the feature's classification, "" where it has none. The polygons of a MultiPolygon, also
    within a GeometryCollection, are parts of one object. Points and lines are told in the notes.

    Raises:
        UserError: the file is not such GeoJSON.
    """
    shapes: list[Outline] = []
    without_area: Counter[str] = Counter()
    for number, feature in enumerate(_features(load_json(path), path), start=1):
        where = f"feature {number}"
        name = _class_of(feature.get("properties"))
        polygons = []
        for kind, coordinates in _geometries(feature.get("geometry"), path, where):
            if kind == "Polygon":
                polygons.append(coordinates)
            elif kind == "MultiPolygon":
                polygons += _lists(coordinates, path, where)
            else:
                without_area[kind] += 1
        part_of = where if len(polygons) > 1 else None
        shapes += [_outline(rings, name, part_of, path, where) for rings in polygons]
    return Annotations(tuple(shapes), notes=left_out_note(without_area))


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
