"""Small writers of the annotation formats, independent of the readers: shapes as plain lists of corners."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

Corners = list[tuple[float, float]]


@dataclass(frozen=True)
class Drawn:
    """An object: its class, the parts it consists of, each an exterior followed by its holes."""

    name: str
    parts: list[list[Corners]]

    @property
    def has_holes(self) -> bool:
        return any(len(rings) > 1 for rings in self.parts)


def write_labelme(path: Path, objects: list[Drawn], size: tuple[int, int]) -> Path:
    """Parts share a group_id; LabelMe knows no holes."""
    shapes = [
        {"label": one.name, "points": rings[0], "group_id": number, "shape_type": "polygon", "flags": {}}
        for number, one in enumerate(objects)
        for rings in one.parts
    ]
    return _write(path, {"version": "5.4.1", "shapes": shapes, "imageHeight": size[0], "imageWidth": size[1]})


def write_geojson(path: Path, objects: list[Drawn], collection: bool = True) -> Path:
    features = [_feature(one) for one in objects]
    return _write(path, {"type": "FeatureCollection", "features": features} if collection else features)


def _feature(one: Drawn) -> dict[str, Any]:
    closed = [[[*map(list, ring), list(ring[0])] for ring in rings] for rings in one.parts]
    several = len(closed) > 1
    geometry = {"type": "MultiPolygon" if several else "Polygon", "coordinates": closed if several else closed[0]}
    properties: dict[str, Any] = {"objectType": "annotation"}
    if one.name:
        properties["classification"] = {"name": one.name, "color": [200, 0, 0]}
    return {"type": "Feature", "id": "PathAnnotationObject", "geometry": geometry, "properties": properties}


def write_aperio_xml(path: Path, objects: list[Drawn]) -> Path:
    """One layer a class; holes are negative regions. Objects of several parts become several objects."""
    layers = []
    for name in dict.fromkeys(one.name for one in objects):
        rings = [
            (ring, number > 0)
            for one in objects
            if one.name == name
            for part in one.parts
            for number, ring in enumerate(part)
        ]
        regions = "".join(_region(ring, negative) for ring, negative in rings)
        layers.append(f'<Annotation Id="1" Name="{name}"><Regions>{regions}</Regions></Annotation>')
    path.write_text(f'<Annotations MicronsPerPixel="0.252">{"".join(layers)}</Annotations>', encoding="utf-8")
    return path


def _region(ring: Corners, negative: bool) -> str:
    vertices = "".join(f'<Vertex X="{x!r}" Y="{y!r}"/>' for x, y in ring)
    return f'<Region Type="0" NegativeROA="{int(negative)}"><Vertices>{vertices}</Vertices></Region>'


def coco(pictures: dict[str, tuple[tuple[int, int], list[dict[str, Any]]]], categories: list[str]) -> dict[str, Any]:
    """A COCO table of pictures by file name: size, and annotations with `category` (a name) and `segmentation`."""
    images, annotations = [], []
    for number, (name, (size, entries)) in enumerate(pictures.items(), start=7):
        images.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
        for entry in entries:
            rest = {key: value for key, value in entry.items() if key != "category"}
            known = {"id": len(annotations), "image_id": number, "category_id": categories.index(entry["category"])}
            annotations.append({"iscrowd": 0, **known, **rest})
    listed = [{"id": number, "name": name} for number, name in enumerate(categories)]
    return {"images": images, "annotations": annotations, "categories": listed}


def write_coco(
    path: Path, pictures: dict[str, tuple[tuple[int, int], list[dict[str, Any]]]], classes: list[str]
) -> Path:
    return _write(path, coco(pictures, classes))


def coco_polygons(one: Drawn) -> dict[str, Any]:
    return {"category": one.name, "segmentation": [[float(v) for xy in rings[0] for v in xy] for rings in one.parts]}


def coco_runs(name: str, mask: np.ndarray, compressed: bool) -> dict[str, Any]:
    counts = counts_of(mask)
    return {
        "category": name,
        "segmentation": {"size": list(mask.shape), "counts": text_of(counts) if compressed else counts},
    }


def counts_of(mask: np.ndarray) -> list[int]:
    """Column by column, beginning with the pixels outside."""
    runs = [(value, len(list(run))) for value, run in groupby(mask.ravel(order="F").tolist())]
    return [0] * bool(runs[0][0]) + [length for _, length in runs]


def text_of(counts: list[int]) -> str:
    """Written from the description of the format: see the reader."""
    text = ""
    for place, count in enumerate(counts):
        number = count - counts[place - 2] if place > 2 else count
        while True:
            digit, number = number & 31, number >> 5
            ends = number == (-1 if digit & 16 else 0)
            text += chr(48 + digit + (0 if ends else 32))
            if ends:
                break
    return text


def _write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
