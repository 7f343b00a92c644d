"""Pictures of cases: the image, its uncertainty and the outlines, reduced until all of them fit into a page."""

from __future__ import annotations

import base64
import bisect
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from PIL import Image

from medt_pipeline.core.images import read_image
from medt_pipeline.core.overlays import to_rgb8
from medt_pipeline.core.progress import progress
from medt_pipeline.evaluation.label_maps import read_label_map
from medt_pipeline.report.cases import Case
from medt_pipeline.report.outlines import UNITS, outline
from medt_pipeline.report.overlays import read_fitting

SIDES = (1024, 896, 768, 640, 512, 448, 384, 320, 256)
"""Longer sides in pixels to which pictures may be reduced, the one wanted most first."""
SAMPLE = 8
"""Cases from which the bytes of all are estimated."""
MARKUP_BYTES = 800
"""What the page writes around a picture, and around the outlines of a class, at most."""
QUALITY = 78
"""Of the image's WebP: structures of tissue and speckle stay, artefacts do not show at this size."""
UNCERTAINTY_LEVELS = 12
"""Shades of the uncertainty map: enough to look at, few enough that the map takes a tenth of the image's bytes."""
MOST_OPAQUE = 0.85
"""Opacity of the uncertainty map where it is largest."""


@dataclass(frozen=True)
class LabelOutlines:
    """Outlines of one class as path data: of the truth, of the prediction, and of both, which differ inside."""

    label: int
    name: str
    truth: str
    prediction: str

    @property
    def size(self) -> int:
        """Bytes in the page, where differences repeat both."""
        return 2 * (len(self.truth) + len(self.prediction)) + MARKUP_BYTES


@dataclass(frozen=True)
class Picture:
    """What a page shows of one case.

    Attributes:
        width: of the picture in pixels.
        height: of the picture in pixels.
        image: data URI; None where the case has no image.
        uncertainty: data URI; None without a map.
        outlines: one entry a class that occurs.
    """

    width: int
    height: int
    image: str | None
    uncertainty: str | None
    outlines: tuple[LabelOutlines, ...]

    @property
    def units(self) -> tuple[int, int]:
        """Width and height in the units of the outlines."""
        return self.width * UNITS, self.height * UNITS

    @property
    def size(self) -> int:
        """Bytes in the page."""
        images = sum(len(uri) for uri in (self.image, self.uncertainty) if uri is not None)
        return images + sum(one.size for one in self.outlines) + MARKUP_BYTES


@dataclass(frozen=True)
class Album:
    """Pictures by name of the case.

    Attributes:
        side: longer side in pixels to which larger images were reduced.
        reduced: whether any was.
        left_out: cases whose pictures do not fit into the page even at the smallest side.
    """

    pictures: Mapping[str, Picture]
    side: int
    reduced: bool
    left_out: tuple[str, ...]


def draw_album(cases: Sequence[Case], labels: Mapping[str, int], budget: int, quiet: bool = False) -> Album:
    """Draw as many cases as fit into `budget` bytes of a page, as large as that allows.

    Args:
        cases: in the order of importance; the last are left out first.
        labels: value by class name.
        budget: bytes for all pictures.
        quiet: show no progress.

    Raises:
        UserError: a file cannot be read, or a mask is not of the size of its image.
    """
    first = _first_side(cases, labels, budget)
    for side in SIDES[first:]:
        album = _draw_at(cases, labels, side, budget, quiet)
        if not album.left_out:
            break
    return album


def draw_picture(case: Case, labels: Mapping[str, int], side: int) -> tuple[Picture, bool]:
    """Draw one case with a longer side of at most `side` pixels, and tell whether it was reduced for that.

    Raises:
        UserError: as `draw_album`.
    """
    image = None if case.image is None else read_image(case.image)
    source = case.image or case.prediction
    mask = read_label_map(case.prediction) if image is None else read_fitting(case.prediction, source, image.shape)
    truth = None if case.truth is None else read_fitting(case.truth, source, mask.shape)
    height, width = mask.shape
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    uncertainty = None
    if case.uncertainty is not None:
        uncertainty = _uncertainty_layer(read_fitting(case.uncertainty, source, mask.shape), size)
    outlines = tuple(
        LabelOutlines(
            value, name, "" if truth is None else outline(truth == value, scale), outline(mask == value, scale)
        )
        for name, value in labels.items()
        if (mask == value).any() or (truth is not None and (truth == value).any())
    )
    return Picture(*size, None if image is None else _photo(image, size), uncertainty, outlines), scale < 1


def _first_side(cases: Sequence[Case], labels: Mapping[str, int], budget: int) -> int:
    """Index of the largest of `SIDES` at which a sample of the cases lets all fit."""
    sample = [cases[index] for index in sorted(set(np.linspace(0, len(cases) - 1, SAMPLE).astype(int).tolist()))]

    def fits(index: int) -> bool:
        sizes = [draw_picture(case, labels, SIDES[index])[0].size for case in sample]
        return float(np.mean(sizes)) * len(cases) <= budget

    return bisect.bisect_left(range(len(SIDES) - 1), True, key=fits)


def _draw_at(cases: Sequence[Case], labels: Mapping[str, int], side: int, budget: int, quiet: bool) -> Album:
    """Pictures at one side, up to the first that does not fit."""
    pictures: dict[str, Picture] = {}
    left_out: list[str] = []
    reduced, used = False, 0
    for case in progress(cases, f"Pictures of {side} pixels", len(cases), "case", quiet):
        if left_out:
            left_out.append(case.name)
            continue
        picture, was_reduced = draw_picture(case, labels, side)
        if used + picture.size > budget:
            left_out.append(case.name)
            continue
        pictures[case.name], used, reduced = picture, used + picture.size, reduced or was_reduced
    return Album(pictures, side, reduced, tuple(left_out))


def _photo(image: np.ndarray, size: tuple[int, int]) -> str:
    return _webp(Image.fromarray(to_rgb8(image)).resize(size, Image.Resampling.LANCZOS), quality=QUALITY)


def _uncertainty_layer(uncertainty: np.ndarray, size: tuple[int, int]) -> str:
    """Colours from dark to bright that hide the more of the image, the more uncertain a pixel is."""
    half = (max(1, size[0] // 2), max(1, size[1] // 2))
    small = Image.fromarray(uncertainty.clip(0, 255).astype(np.uint8)).resize(half, Image.Resampling.BOX)
    shares = np.round(np.asarray(small) / 255 * (UNCERTAINTY_LEVELS - 1)) / (UNCERTAINTY_LEVELS - 1)
    colours = mpl.colormaps["viridis"](shares, alpha=shares * MOST_OPAQUE, bytes=True)
    return _webp(Image.fromarray(colours), lossless=True, method=6)


def _webp(picture: Image.Image, **how: int) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", **how)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
