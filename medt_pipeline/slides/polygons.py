"""Outlines of objects as polygons along the edges of their pixels, and their union across borders of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.slides import Window

TOLERANCE = 0.5
"""Pixels by which a simplified outline may leave the edges of its pixels."""


PACKAGES = ("shapely", "rasterio")
"""Optional, so they are imported where they are used."""


def require_packages() -> None:
    """Return if outlines can be made.

    Raises:
        UserError: a package is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"Outlines of whole slides take {' and '.join(missing)}, which is not installed: "
            "pip install medt_pipeline[slides]."
        )


def outline(numbers: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Polygons of the objects of an instance map, with holes, along the edges of pixels.

    Parts of an object that touch at a corner only are polygons of their own (4-connected), so every polygon is valid.

    Args:
        numbers: (h, w) int32, 0 is no object.
        window: of the slide that it shows.

    Returns:
        (n,) polygons in x, y of the slide's pixels, (0, 0) being the outer corner of the first one, and the number of
        the object of each, (n,).
    """
    import shapely
    from rasterio.features import shapes
    from rasterio.transform import Affine

    place = Affine.translation(window.left, window.top)
    found = list(shapes(numbers.astype(np.int32, copy=False), mask=numbers > 0, connectivity=4, transform=place))
    polygons = [shapely.Polygon(one["coordinates"][0], one["coordinates"][1:]) for one, _ in found]
    return np.array(polygons, dtype=object), np.array([int(number) for _, number in found], np.int64)


def unite(polygons: Sequence[Any]) -> Any:
    """One polygon of the pieces of an object, a MultiPolygon where they touch at corners only."""
    import shapely

    # The pieces' corners are whole numbers, and so are those of their union.
    return polygons[0] if len(polygons) == 1 else shapely.union_all(np.array(polygons, dtype=object), grid_size=1)


def simplify(polygons: np.ndarray) -> np.ndarray:
    """Polygons with fewer points, nowhere more than `TOLERANCE` from the edges of their pixels; holes stay."""
    import shapely

    simple = shapely.simplify(polygons, TOLERANCE, preserve_topology=True)
    # Two lines that come to touch where a neck was one pixel wide: then the edges of the pixels stay.
    broken = ~shapely.is_valid(simple)
    simple[broken] = polygons[broken]
    return np.asarray(simple)


def pack(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons as bytes (WKB) in one array, and the end of each, for files without pickled objects."""
    import shapely

    texts = shapely.to_wkb(polygons).tolist() if len(polygons) else []
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    return np.frombuffer(b"".join(texts), np.uint8), ends


def unpack(content: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """What `pack` packed."""
    import shapely

    whole = content.tobytes()
    starts = [0, *ends.tolist()][:-1]
    texts = [whole[start:end] for start, end in zip(starts, ends.tolist(), strict=True)]
    return np.asarray(shapely.from_wkb(np.array(texts, dtype=object)))
