"""Contours of masks drawn over images, for people to look at."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

PALETTE = (
    (240, 228, 66),  # yellow
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (213, 94, 0),  # vermillion
    (204, 121, 167),  # reddish purple
    (230, 159, 0),  # orange
    (0, 114, 178),  # blue
)
"""Okabe and Ito's colours (https://jfly.uni-koeln.de/color), which colour-blind readers can tell apart."""

SMALLEST_SIDE = 256  # longer side in pixels below which a picture is enlarged
LINE_PER_SIDE = 300  # one more pixel of line width for each of these, so that a shrunken preview keeps its lines
FILL = 0.12  # opacity of the fill


def draw_overlay(
    image: np.ndarray, mask: np.ndarray, reference: np.ndarray | None = None, names: dict[int, str] | None = None
) -> np.ndarray:
    """Draw the contours of every label of `mask` as solid lines, those of `reference` dashed in black and white.

    The lines of the mask run inside its regions and those of the reference outside, so that neither hides the other
    where they agree. Pixels that are neither in the mask nor on a line keep their colour.

    Args:
        image: (H, W) gray or (H, W, 3) RGB; uint8 is shown as it is, other dtypes as `to_rgb8` does.
        mask: (H, W) integer labels, 0 is background; may be empty.
        reference: as `mask`.
        names: class name by label for a legend below the picture; None for no legend.

    Returns:
        (f H, f W, 3) uint8, with a legend (f H + h, f W, 3); f is `enlargement((H, W))`.

    Raises:
        ValueError: the shapes do not fit.
    """
    for other in (mask, *([] if reference is None else [reference])):
        if other.shape != image.shape[:2]:
            raise ValueError(f"image of shape {image.shape} with labels of shape {other.shape}")
    factor = enlargement(mask.shape)
    picture, labels = _enlarge(to_rgb8(image), factor), _enlarge(mask, factor)
    width = line_width(labels.shape)
    picture = draw_regions(picture, labels, width)
    if reference is not None:
        picture = _draw_dashed(picture, _enlarge(reference, factor), width)
    if names:
        picture = np.concatenate([picture, legend(picture.shape[1], width, names, reference is not None)])
    return picture


def to_rgb8(image: np.ndarray) -> np.ndarray:
    """Turn (H, W) or (H, W, 3) of any dtype into (H, W, 3) uint8.

    uint8 keeps its values. Otherwise the range between the 0.5th and the 99.5th percentile of all finite values becomes
    0 to 255, so that single bright pixels do not darken the rest; where the two are equal, the whole range counts.
    Values that are not finite, and images that are constant, become 0.
    """
    if image.dtype != np.uint8:
        values = image.astype(np.float64)
        finite = values[np.isfinite(values)]
        low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 0.0)
        if finite.size and low == high:
            low, high = finite.min(), finite.max()
        scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
        image = (np.nan_to_num(scaled, nan=0, posinf=0, neginf=0).clip(0, 1) * 255).round().astype(np.uint8)
    return image.copy() if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def smaller_rgb8(image: np.ndarray, most: int) -> np.ndarray:
    """`to_rgb8` of an image, reduced so that no side is longer than `most` pixels; never enlarged."""
    picture = Image.fromarray(to_rgb8(image))
    picture.thumbnail((most, most))
    return np.asarray(picture)


def enlargement(shape: tuple[int, ...]) -> int:
    """Integer factor that brings the longer side of (H, W) to at least 256 pixels; 1 for larger pictures."""
    return max(1, math.ceil(SMALLEST_SIDE / max(shape)))


def line_width(shape: tuple[int, ...]) -> int:
    """Width of the contours in a picture of (H, W): 2 pixels or more."""
    return max(2, round(max(shape) / LINE_PER_SIDE))


def colour_of(label: int) -> tuple[int, int, int]:
    """Colour of a label from 1; the palette repeats after seven."""
    return PALETTE[(label - 1) % len(PALETTE)]


def _enlarge(picture: np.ndarray, factor: int) -> np.ndarray:
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def draw_regions(picture: np.ndarray, labels: np.ndarray, width: int, objects: np.ndarray | None = None) -> np.ndarray:
    """`picture`, (H, W, 3) uint8, with a tint over every label of `labels`, (H, W), and a line of `width` inside it.

    Args:
        objects: (H, W) object numbers: objects of one label that touch get a line each; None: touching regions of one
            label are one.
    """
    colours = np.array([(0, 0, 0), *(colour_of(label) for label in range(1, int(labels.max(initial=0)) + 1))])
    parts = labels if objects is None else objects.astype(np.int64) * len(colours) + labels
    # The border of the image is not a contour: the object goes on beyond it.
    side = 2 * width + 1
    lowest, highest = (find(parts, side, mode="nearest") for find in (ndimage.minimum_filter, ndimage.maximum_filter))
    region = labels != 0
    colour, line = colours[labels[region]], (lowest != highest)[region]
    drawn = picture.copy()
    tinted = ((1 - FILL) * picture[region] + FILL * colour).round()
    drawn[region] = np.where(line[:, None], colour, tinted)
    return drawn


def _draw_dashed(picture: np.ndarray, labels: np.ndarray, width: int) -> np.ndarray:
    from skimage.measure import find_contours  # takes half a second to load and is needed for references only

    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    for label in np.unique(labels[labels != 0]).tolist():
        outside = ndimage.distance_transform_edt(labels != label)
        for contour in find_contours(outside, width / 2):
            _dash(pen, contour[:, ::-1], width)
    return np.array(canvas)


def _dash(pen: ImageDraw.ImageDraw, line: np.ndarray, width: int) -> None:
    """Draw the (points, 2) line of x, y as dashes of equal length, black and white in turn."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    dash = np.concatenate([[0], steps.cumsum()]) // (4 * width)
    starts = np.flatnonzero(np.diff(dash, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(line) - 1], strict=True):
        points = [tuple(point) for point in line[start : end + 1].tolist()]
        if len(points) > 1:
            pen.line(points, fill="white" if dash[start] % 2 else "black", width=width)


def legend(width: int, line: int, names: dict[int, str], with_reference: bool) -> np.ndarray:
    """Strip (h, width, 3) with a line in the colour of each class and its name; entries that do not fit wrap.

    Args:
        line: width of the contours in the picture, to which the letters fit.
        names: class name by label; that of label 0 is left out.
        with_reference: explain dashes too.
    """
    entries = [(colour_of(label), name) for label, name in names.items() if label != 0]
    entries += [((255, 255, 255), "dashed: reference")] if with_reference else []
    size = 6 + 3 * line
    font = ImageFont.load_default(size)
    x, y = size // 2, 0
    places: list[tuple[int, int, tuple[int, int, int], str]] = []
    for colour, name in entries:
        advance = size + int(font.getlength(name)) + size
        if places and x + advance > width:
            x, y = size // 2, y + 2 * size
        places.append((x, y, colour, name))
        x += advance
    strip = Image.new("RGB", (width, y + 2 * size))
    pen = ImageDraw.Draw(strip)
    for left, top, colour, name in places:
        pen.line([(left, top + size), (left + size // 2, top + size)], fill=colour, width=line + 1)
        pen.text((left + size, top + size), name, fill="white", font=font, anchor="lm")
    return np.array(strip)
