"""Aperio ImageScope: one XML file a picture, as MoNuSeg is released.

Coordinates are in pixels of the full picture; (0, 0) is the outer corner of its first pixel. Seen in MoNuSeg: when its
outlines are shifted, the contrast across them is highest within a quarter of a pixel of this convention.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import numpy as np
from defusedxml import DefusedXmlException
from skimage.measure import points_in_poly

from medt_pipeline.core.errors import UserError

from .reading import Annotations, left_out_note, require_readable, to_points
from .shapes import Outline, ring_area

_ELLIPSE = "2"
_WITHOUT_AREA = {"3": "arrow", "4": "ruler"}
CORNERS_OF_ELLIPSE = 720


def read_aperio_xml(path: Path, name: str | None = None) -> Annotations:
    """Read the regions of all layers; their class is `name`, else that of the layer, "" where it has none.

    A region marked as negative (`NegativeROA`) is a hole in that larger region of its layer which holds most of its
    points, of several the smallest. Arrows and rulers have no area and are told in the notes.

    Raises:
        UserError: the file is not such XML, or holds a document type or entities.
    """
    root = _parse(path)
    shapes: list[Outline] = []
    without_area: Counter[str] = Counter()
    for layer in root.findall("Annotation"):
        class_name = (layer.get("Name") or "").strip() if name is None else name
        positive: list[Outline] = []
        negative: list[np.ndarray] = []
        for region in layer.findall("Regions/Region"):
            kind = region.get("Type", "0")
            if kind in _WITHOUT_AREA:
                without_area[_WITHOUT_AREA[kind]] += 1
            elif region.get("NegativeROA", "0") == "1":
                negative.append(_ring(region, path))
            else:
                positive.append(Outline(class_name, _ring(region, path)))
        without_area["hole without a region around it"] += _cut(positive, negative)
        shapes += positive
    return Annotations(tuple(shapes), notes=left_out_note(+without_area))


def _parse(path: Path) -> Element:
    try:
        root = defusedxml.ElementTree.parse(require_readable(path), forbid_dtd=True).getroot()
    except DefusedXmlException:
        raise UserError(
            f"{path} holds a document type or entities, which no annotation needs; export it again."
        ) from None
    except (ParseError, LookupError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not valid XML ({error}); export it again.") from None
    if root.tag != "Annotations":
        raise UserError(f"{path} is not XML of Aperio ImageScope: it begins with {root.tag!r}, not 'Annotations'.")
    return root


def _ring(region: Element, path: Path) -> np.ndarray:
    where = f"region {region.get('Id', '?')}"
    try:
        values = [
            (float(vertex.get("X", "")), float(vertex.get("Y", ""))) for vertex in region.iterfind("Vertices/Vertex")
        ]
    except ValueError:
        raise UserError(f"{path}, {where}: a vertex has no number for X or Y; export the file again.") from None
    points = to_points(values, path, where)
    return _ellipse(points) if region.get("Type") == _ELLIPSE and len(points) == 2 else points


def _ellipse(corners: np.ndarray) -> np.ndarray:
    """ImageScope stores the corners of the box around it."""
    angles = np.linspace(0, 2 * np.pi, CORNERS_OF_ELLIPSE, endpoint=False)
    unit = np.column_stack([np.cos(angles), np.sin(angles)])
    return corners.mean(axis=0) + unit * np.abs(corners[1] - corners[0]) / 2


def _cut(regions: list[Outline], holes: list[np.ndarray]) -> int:
    """Give every hole to its region, in place; the number of holes that lie in none."""
    alone = 0
    for hole in holes:
        held = [_share_inside(hole, region.exterior) if region.area > ring_area(hole) else 0.0 for region in regions]
        best = max(held, default=0.0)
        if not best:
            alone += 1
            continue
        around = [place for place, share in enumerate(held) if share == best]
        place = min(around, key=lambda place: ring_area(regions[place].exterior))
        regions[place] = replace(regions[place], holes=(*regions[place].holes, hole))
    return alone


def _share_inside(points: np.ndarray, ring: np.ndarray) -> float:
    if len(points) == 0 or len(ring) < 3:
        return 0.0
    return float(points_in_poly(points, ring).mean())


def read_pixel_um(path: Path) -> float | None:
    """Micrometres a pixel as the first element tells it; None where it does not, or the file is broken."""
    try:
        with path.open("rb") as file:
            _, root = next(defusedxml.ElementTree.iterparse(file, events=("start",), forbid_dtd=True))
        size = float(root.get("MicronsPerPixel", ""))
    except (DefusedXmlException, ParseError, LookupError, ValueError, StopIteration):
        return None
    return size if math.isfinite(size) and size > 0 else None
