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
from medt_pipeline.core.levels import to_levels
from medt_pipeline.core.near_duplicates import thumbnail
from medt_pipeline.core.parallel import ordered_map
from medt_pipeline.core.pixel_size import PixelSize

from .label_mapping import GRAY_TO_COLOUR, MOST_LABELS, FoundValues, to_values
from .masks import MaskSource
from .pictures import Picture
from .problems import Problems
from .sources import SourceCase

MOST_COLOURS = 4096
"""A photograph given as a mask has a colour a pixel; to refuse it, its most frequent ones are enough."""


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """Facts about an image.

    Attributes:
        size: (height, width).
        rgb: stored as three channels; `coloured`: they differ somewhere.
        digest: hash of its pixels, the same for the same picture in another form.
        thumbnail: (32, 32) uint8, by which images that show nearly the same are found.
        pixel_size: None where nothing tells it.
    """

    size: tuple[int, int]
    dtype: np.dtype
    rgb: bool
    coloured: bool
    digest: str
    thumbnail: np.ndarray
    pixel_size: PixelSize | None = None


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

    @property
    def mask_file(self) -> Path | None:
        """The file that messages name for the mask."""
        return None if self.case.mask is None else self.case.mask.files[0]


def inspect(cases: Sequence[SourceCase], problems: Problems) -> list[Inspected]:
    """Look at all cases; those with a problem are left out of the answer and told in `problems`, in their order."""
    looked_at = ordered_map(_inspect_or_tell, cases)
    inspected = []
    for found in tqdm(looked_at, desc="Looking", total=len(cases), unit="image", disable=None):
        if isinstance(found, Inspected):
            inspected.append(found)
        else:
            problems.add(found)
    return inspected


def _inspect_or_tell(case: SourceCase) -> Inspected | str:
    """The case with its facts, or the sentence that says what is wrong with it."""
    try:
        image = inspect_image(case.image)
        mask = None if case.mask is None else inspect_mask(case.mask, image.size)
    except UserError as error:
        return str(error)
    if case.mask is not None and mask is not None and image.size != mask.size:
        return (
            f"{case.image.file} has {show_size(image.size)} pixels, but its mask {case.mask.files[0]} has "
            f"{show_size(mask.size)}; they must have the same size."
        )
    return Inspected(case, image, mask)


def inspect_image(source: Picture) -> ImageFacts:
    """Read an image and keep its facts.

    Raises:
        UserError: as for `Picture.read`; pixels that no PNG of 8 or 16 bits can hold.
    """
    picture, file = source.read(), source.file
    if not np.issubdtype(picture.dtype, np.integer) or picture.min() < 0 or picture.max() > np.iinfo(np.uint16).max:
        raise UserError(f"{file} holds {picture.dtype} pixels; save it as whole numbers of 8 or 16 bits.")
    rgb = picture.ndim == 3
    coloured = rgb and not all(np.array_equal(picture[..., 0], picture[..., other]) for other in (1, 2))
    if coloured and picture.dtype != np.uint8:
        raise UserError(f"{file} holds colours of more than 8 bits a channel; save it as RGB of 8 bits a channel.")
    plain = picture if coloured or not rgb else picture[..., 0]
    channels = plain.transpose(2, 0, 1) if coloured else plain[np.newaxis]
    small = thumbnail(to_levels(channels).gray)
    return ImageFacts(picture.shape[:2], picture.dtype, rgb, coloured, _digest(plain), small, source.pixel_size())


def inspect_mask(source: MaskSource, size: tuple[int, int]) -> MaskFacts:
    """Read the mask of an image of `size` and keep its facts.

    Raises:
        UserError: as for `MaskSource.read`.
    """
    read = source.read(size)
    mask = read.values
    values = to_values(mask, coloured=False)
    found, pixels = _count(values)
    if len(found) > MOST_COLOURS and mask.ndim == 3:
        most = np.argsort(-pixels, kind="stable")[:MOST_COLOURS]
        found, pixels = found[most], pixels[most]
    counts = dict(zip(found.tolist(), pixels.tolist(), strict=True))
    solid = _solid(values) if len(counts) <= MOST_LABELS else frozenset()
    palette = {value: read.palette[value] for value in counts if value in read.palette}
    return MaskFacts(mask.shape[:2], mask.ndim == 3, counts, solid, _digest(mask), palette, read.repairs)


def found_values(inspected: Sequence[Inspected], problems: Problems) -> FoundValues:
    """Put together what all masks hold; masks that cannot be understood in one way are told in `problems`."""
    masks = [(one.mask_file, one.mask) for one in inspected if one.mask is not None]
    coloured = any(facts.coloured for _, facts in masks)
    counts: Counter[int] = Counter()
    solid: set[int] = set()
    palette: dict[int, str] = {}
    named_by: dict[int, Path | None] = {}
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


def _count(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values, ascending, and the pixels of each."""
    if values.dtype != np.uint8:
        return np.unique(values, return_counts=True)
    pixels = np.bincount(values.ravel(), minlength=256)  # three times as fast as sorting
    found = np.flatnonzero(pixels)
    return found, pixels[found]


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
    return frozenset(_count(centre[same])[0].tolist())


def _digest(picture: np.ndarray) -> str:
    """Hash of whole numbers, the same for the same numbers in another dtype."""
    bytes_do = picture.min() >= 0 and picture.max() <= np.iinfo(np.uint8).max
    numbers = np.ascontiguousarray(picture, np.uint8 if bytes_do else np.int64)
    digest = hashlib.sha256(repr(numbers.shape).encode())
    digest.update(numbers.data)
    return digest.hexdigest()
