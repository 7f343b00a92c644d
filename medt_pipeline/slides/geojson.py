"""Objects as GeoJSON that QuPath reads: a FeatureCollection, coordinates in pixels of level 0."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medt_pipeline.core.files import atomic_path
from medt_pipeline.core.overlays import colour_of
from medt_pipeline.slides.objects import Objects, read_pieces
from medt_pipeline.slides.polygons import simplify, unite

DIGITS = 2
"""Of coordinates behind the point: a hundredth of a pixel of level 0."""


def write_geojson(
    file: Path, objects: Objects, names: Mapping[int, str], split: Collection[int], factors: tuple[float, float]
) -> None:
    """Write a feature for every object; complete or absent.

    A class whose objects the recipe splits gives detections, which QuPath shows by the ten thousand; the others give
    annotations, which can be edited. One block's polygons are in memory at a time, beside those of objects that go on
    in blocks to come.

    Args:
        names: class by label.
        split: labels whose objects are split.
        factors: pixels of level 0 down and across for one pixel of the polygons.
    """
    properties = {label: _properties(name, label, label in split) for label, name in names.items()}
    with atomic_path(file) as temporary, temporary.open("w", encoding="utf-8") as target:
        target.write('{"type": "FeatureCollection", "features": [')
        separator = "\n"
        for labels, polygons in _whole_objects(objects):
            for label, geometry in zip(labels, _geometries(simplify(polygons), factors), strict=True):
                target.write(f'{separator}{{"type": "Feature", "geometry": {geometry}, {properties[label]}}}')
                separator = ",\n"
        target.write("\n]}\n")


def _properties(name: str, label: int, split: bool) -> str:
    """The part of a feature that all objects of a class share, as JSON."""
    content = {
        "objectType": "detection" if split else "annotation",
        "classification": {"name": name, "color": list(colour_of(label))},
    }
    return f'"properties": {json.dumps(content, ensure_ascii=False)}'


def _whole_objects(objects: Objects) -> Iterator[tuple[list[int], np.ndarray]]:
    """Labels and polygons of the objects that end in each block, block after block."""
    waiting: dict[int, list[Any]] = defaultdict(list)
    missing = objects.pieces.copy()
    for file in objects.files:
        pieces = read_pieces(file)
        start = objects.first[file]
        own = objects.object_of[start : start + len(pieces.classes)]
        for piece, polygon in zip(pieces.piece_of.tolist(), pieces.polygons, strict=True):
            waiting[int(own[piece - 1])].append(polygon)
        np.subtract.at(missing, own, 1)
        done = [one for one in dict.fromkeys(own.tolist()) if missing[one] == 0]
        if done:
            polygons = np.array([unite(waiting.pop(one)) for one in done], dtype=object)
            yield objects.classes[done].tolist(), polygons


def _geometries(polygons: np.ndarray, factors: tuple[float, float]) -> list[str]:
    """GeoJSON texts of polygons after scaling to level 0."""
    import shapely

    down, across = factors
    scaled = shapely.transform(polygons, lambda points: np.round(points * (across, down), DIGITS))
    return [str(text) for text in shapely.to_geojson(scaled)]
