"""First pass over a data set: open every picture once, keep facts about it and no pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medt_pipeline.core.errors import UserError

from .label_mapping import GRAY_TO_COLOUR, MOST_LABELS, FoundValues, to_values
from .masks import MaskSource
from .pictures import Picture
from .problems import Problems
from .sources import SourceCase

MOST_COLOURS = 4096
"""A photograph given as a mask has a colour a pixel; to refuse it, its most frequent ones are enough."""


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image: (height, width), dtype, stored as three channels, truly coloured, hash of its pixels."""

    size: tuple[int, int]
    dtype: np.dtype
    rgb: bool
    coloured: bool
    digest: str


@dataclass(frozen=True)
class MaskFacts:
    """Facts about a mask as it was read.

    Attributes:
        counts: pixels of each value, colours as 0xRRGGBB.
        solid: values that fill a 3×3 block; not looked for where there are too many values for labels.
        palette: colour of each index in use, empty where the file has no palette or its indices do not count.
        repairs: what reading it mended.
    """

    size: tuple[int, int]
    coloured: bool
    counts: Mapping[int, int]
    solid: frozenset[int]
    digest: str
    palette: Mapping[int, str] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspected:
    """A case with the facts about its pictures."""

    case: SourceCase
    image: ImageFacts
    mask: MaskFacts | None


def inspect(cases: Sequence[SourceCase], problems: Problems) -> list[Inspected]:
    """Look at all cases; those with a problem are left out of the answer and told in `problems`."""
    inspected = []
    for case in tqdm(cases, desc="Looking", unit="image", disable=None):
        image = mask = None
        with problems.collecting():
            image = inspect_image(case.image)
        if image is not None and case.mask is not None:
            with problems.collecting():
                mask = inspect_mask(case.mask, image.size)
                _require_equal_sizes(case, case.mask, image.size, mask.size)
        if image is not None and (mask is not None or case.mask is None):
            inspected.append(Inspected(case, image, mask))
    return inspected


def _require_equal_sizes(
    case: SourceCase, mask: MaskSource, image_size: tuple[int, int], mask_size: tuple[int, int]
) -> None:
    if image_size != mask_size:
        raise UserError(
            f"{case.image.file} has {show_size(image_size)} pixels, but its mask {mask.files[0]} has "
            f"{show_size(mask_size)}; they must have the same size."
        )


def inspect_image(source: Picture) -> ImageFacts:
    """Read an image and keep its facts.

    Raises:
        UserError: as for `Picture.read`; pixels that no PNG of 8 or 16 bits can hold.
    """
    picture, path = source.read(), source.file
    if not np.issubdtype(picture.dtype, np.integer) or picture.min() < 0 or picture.max() > np.iinfo(np.uint16).max:
        raise UserError(f"{path} holds {picture.dtype} pixels; save it as whole numbers of 8 or 16 bits.")
    rgb = picture.ndim == 3
    coloured = rgb and not bool((picture[..., :1] == picture).all())
    if coloured and picture.dtype != np.uint8:
        raise UserError(f"{path} holds colours of more than 8 bits a channel; save it as RGB of 8 bits a channel.")
    plain = picture if coloured or not rgb else picture[..., 0]
    # hashed in one dtype: the same picture saved with 8 and with 16 bits is the same picture
    return ImageFacts(picture.shape[:2], picture.dtype, rgb, coloured, _digest(plain.astype(np.uint16)))


def inspect_mask(source: MaskSource, size: tuple[int, int]) -> MaskFacts:
    """Read the mask of an image of `size` and keep its facts.

    Raises:
        UserError: as for `MaskSource.read`.
    """
    read = source.read(size)
    mask = read.values
    values = to_values(mask, coloured=False)
    found, pixels = np.unique(values, return_counts=True)
    if len(found) > MOST_COLOURS and mask.ndim == 3:
        most = np.argsort(-pixels, kind="stable")[:MOST_COLOURS]
        found, pixels = found[most], pixels[most]
    counts = dict(zip(found.tolist(), pixels.tolist(), strict=True))
    solid = _solid(values) if len(counts) <= MOST_LABELS else frozenset()
    palette = {value: read.palette[value] for value in counts if value in read.palette}
    return MaskFacts(mask.shape[:2], mask.ndim == 3, counts, solid, _digest(mask), palette, read.repairs)


def found_values(inspected: Sequence[Inspected], problems: Problems) -> FoundValues:
    """Put together what all masks hold; masks that cannot be understood in one way are told in `problems`."""
    masks = [
        (one.case.mask.files[0], one.mask) for one in inspected if one.mask is not None and one.case.mask is not None
    ]
    coloured = any(facts.coloured for _, facts in masks)
    counts: Counter[int] = Counter()
    solid: set[int] = set()
    palette: dict[int, str] = {}
    named_by: dict[int, Path] = {}
    for path, facts in masks:
        if (
            coloured
            and not facts.coloured
            and (facts.palette or not 0 <= min(facts.counts) <= max(facts.counts) <= 255)
        ):
            problems.add(f"{path} holds a palette or numbers above 255, but other masks hold colours; save all as RGB.")
            continue
        counts.update(value_counts(facts, coloured))
        solid.update(_in_form(facts, value, coloured) for value in facts.solid)
        for index, colour in facts.palette.items():
            if palette.setdefault(index, colour) != colour:
                problems.add(
                    f"The palettes differ: index {index} is {palette[index]} in {named_by[index]}, but {colour} in "
                    f"{path}, so the index is no label; save the masks as RGB."
                )
            named_by.setdefault(index, path)
    return FoundValues(counts, coloured, frozenset(solid), palette)


def show_size(size: tuple[int, int]) -> str:
    """(height, width) as people say it: "775×522" is 775 wide."""
    return f"{size[1]}×{size[0]}"


def value_counts(facts: MaskFacts, coloured: bool) -> dict[int, int]:
    """Pixels of each value of one mask, in the form of the data set."""
    return {_in_form(facts, value, coloured): pixels for value, pixels in facts.counts.items()}


def _in_form(facts: MaskFacts, value: int, coloured: bool) -> int:
    return value * GRAY_TO_COLOUR if coloured and not facts.coloured else value


def _solid(values: np.ndarray) -> frozenset[int]:
    """Values of the pixels whose eight neighbours all hold the same value; image borders do not count."""
    height, width = values.shape
    if height < 3 or width < 3:
        return frozenset()
    centre = values[1:-1, 1:-1]
    same = np.ones(centre.shape, dtype=bool)
    for down in range(3):
        for right in range(3):
            same &= values[down : height - 2 + down, right : width - 2 + right] == centre
    return frozenset(np.unique(centre[same]).tolist())


def _digest(picture: np.ndarray) -> str:
    return hashlib.sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()
