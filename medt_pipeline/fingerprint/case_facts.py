"""All facts about one case, put together from its pixels and from what lies beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_mask
from medt_pipeline.core.levels import Levels, to_levels
from medt_pipeline.core.near_duplicates import thumbnail
from medt_pipeline.core.pixel_size import PixelSize, from_spacing_mm, pixel_size
from medt_pipeline.core.pixel_size_of_files import read_pixel_size
from medt_pipeline.fingerprint.intensity import IntensityFacts, measure_intensity
from medt_pipeline.fingerprint.objects import ObjectFacts, measure_objects
from medt_pipeline.fingerprint.sizes import SizeFacts, coloured_mask, measure_size
from medt_pipeline.fingerprint.stain import StainFacts, measure_stain
from medt_pipeline.fingerprint.ultrasound import UltrasoundFacts, measure_ultrasound

MARK_COLOUR = 64
"""Levels by which the channels of a coloured mark in a gray image differ; less may be a tint of the screen."""


@dataclass(frozen=True)
class Beside:
    """What is known of a case beside its image and label map.

    Attributes:
        group: declared patient or other unit; None where nothing is known.
        pixel_size_um: recorded height and width of a pixel.
        images: files of the image, asked for the pixel size where none is recorded.
        instances: file of object numbers, of the size of the label map.
    """

    group: str | None = None
    pixel_size_um: tuple[float, float] | None = None
    images: tuple[Path, ...] = ()
    instances: Path | None = None


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image alone; the attributes are those of `CaseFacts`."""

    size: SizeFacts
    intensity: tuple[IntensityFacts, ...]
    pixel_size: PixelSize | None
    ultrasound: UltrasoundFacts | None
    stain: StainFacts | None


@dataclass(frozen=True)
class CaseFacts:
    """Facts about one case.

    Attributes:
        group: as declared; None where nothing is known.
        near_duplicate_group: name of the first case among those that show nearly the same; mostly the case's own.
        fold_group: cases that no fold may part: those of one declared group or of one near-duplicate group, joined;
            name of the first case among them.
        size: how the image is stored.
        intensity: one entry a channel.
        pixel_size: None where nothing tells it.
        ultrasound: of gray images; None for others.
        stain: of coloured images of three channels; None for others.
        mask_is_empty: no pixel has any of the classes.
        foreground_share: share of pixels with any of the classes, 0 to 1.
        objects: by label value.
    """

    group: str | None
    near_duplicate_group: str
    fold_group: str
    size: SizeFacts
    intensity: tuple[IntensityFacts, ...]
    pixel_size: PixelSize | None
    ultrasound: UltrasoundFacts | None
    stain: StainFacts | None
    mask_is_empty: bool
    foreground_share: float
    objects: dict[str, ObjectFacts]


@dataclass(frozen=True)
class MeasuredCase:
    """Facts about a case, and what is needed to compare it with others: a few kilobytes.

    Attributes:
        facts: its groups are its own name until cases are compared.
        thumbnail: (32, 32) uint8.
        diameters: equivalent diameters of the objects in pixels, (n,) by label value.
    """

    facts: CaseFacts
    thumbnail: np.ndarray
    diameters: dict[int, np.ndarray]


def measure_case(
    name: str,
    image: np.ndarray,
    labels: np.ndarray,
    spacing: tuple[float, ...],
    classes: Iterable[int],
    beside: Beside = Beside(),
) -> MeasuredCase:
    """Measure everything.

    Args:
        image: (C, H, W).
        labels: (H, W) label values.
        spacing: (z, y, x) as the reader gives it; millimetres unless y and x are 1.
        classes: label values of foreground.

    Raises:
        UserError: the image holds values that are no numbers; the instance map cannot be read or has another size.
    """
    levels = to_levels(image)
    of_image = _measure_image(image, levels, find_pixel_size(spacing, beside))
    objects = measure_objects(labels, classes, _read_instances(beside.instances, labels.shape))
    foreground = sum(one.facts.area_share for one in objects.values())
    facts = CaseFacts(
        beside.group,
        name,
        name,
        of_image.size,
        of_image.intensity,
        of_image.pixel_size,
        of_image.ultrasound,
        of_image.stain,
        all(one.facts.is_absent for one in objects.values()),
        foreground,
        {str(label): one.facts for label, one in objects.items()},
    )
    return MeasuredCase(facts, thumbnail(levels.gray), {label: one.diameters for label, one in objects.items()})


def measure_image(image: np.ndarray, known_size: PixelSize | None = None) -> ImageFacts:
    """Measure what needs no label map.

    Args:
        image: (C, H, W).
        known_size: of a pixel.

    Raises:
        UserError: the image holds values that are no numbers.
    """
    return _measure_image(image, to_levels(image), known_size)


def _measure_image(image: np.ndarray, levels: Levels, known_size: PixelSize | None) -> ImageFacts:
    size = measure_size(image, levels)
    ultrasound, stain = None, None
    if size.is_gray:
        marks = coloured_mask(levels.picture, MARK_COLOUR) if size.channels == 3 else None
        ultrasound = measure_ultrasound(levels.gray, marks)
    elif size.channels == 3:
        stain = measure_stain(levels.picture)
    return ImageFacts(size, measure_intensity(levels), known_size, ultrasound, stain)


def find_pixel_size(spacing: tuple[float, ...], beside: Beside) -> PixelSize | None:
    """The recorded pixel size, else the reader's spacing where it is one, else the first that an image file tells."""
    if beside.pixel_size_um is not None:
        return pixel_size(*beside.pixel_size_um, "medt_cases.json")
    from_reader = from_spacing_mm(float(spacing[-2]), float(spacing[-1]), "spacing in the file")
    if from_reader is not None:
        return from_reader
    return next((found for path in beside.images if (found := read_pixel_size(path)) is not None), None)


def _read_instances(path: Path | None, shape: tuple[int, ...]) -> np.ndarray | None:
    if path is None:
        return None
    instances = read_mask(path)
    if instances.shape != shape:
        raise UserError(f"{path} has the shape {instances.shape}, but its label map {shape}; convert the data again.")
    return instances
