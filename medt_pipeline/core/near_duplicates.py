"""Images that show nearly the same: found by a perceptual hash, confirmed by correlation, put into groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import fft, ndimage, sparse
from scipy.sparse import csgraph

THUMBNAIL_SIDE = 32
HASH_SIDE = 8
"""Lowest frequencies in each direction of which the hash is made: 64 bits."""

MOST_DIFFERENT_BITS = 18
LEAST_CORRELATION = 0.65
"""On 474 ultrasound images all 49 pairs within both limits show one view of one patient, by eye, and no other pair
within the first reaches 0.6; in 85 histology images none reaches 0.3."""

DETAIL_SIGMA = 4.0
"""Blur in thumbnail pixels that is subtracted before images are correlated: all ultrasound images are bright above and
dark below, which says nothing."""

BLACK_LEVEL = 2
"""Level of 255 up to which a pixel of a thumbnail shows nothing: outside the sector, whose form is the probe's."""

LEAST_CONTRAST = 2.0
"""Standard deviation of a thumbnail in levels of 255 below which there is nothing to compare."""

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class SimilarPair:
    """Two cases whose images show nearly the same.

    Attributes:
        first: name of a case.
        second: name of another, later in the order of cases.
        correlation: of what their thumbnails show in detail, `LEAST_CORRELATION` to 1.
        crosses_groups: they were declared to be in different groups; False where groups are not known.
    """

    first: str
    second: str
    correlation: float
    crosses_groups: bool


def thumbnail(gray: np.ndarray) -> np.ndarray:
    """(32, 32) uint8 means of `gray`, (H, W) uint8, whatever its aspect; a smaller image is enlarged."""
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BOX))


def perceptual_bits(thumbnails: np.ndarray) -> np.ndarray:
    """Hashes of `thumbnails`, (n, 32, 32), as (n, 64) bool.

    A bit tells whether one of the 8 × 8 lowest coefficients of the cosine transform lies above the median of all but
    the constant one (Zauner 2010, Implementation and benchmarking of perceptual image hash functions).
    """
    spectrum = fft.dctn(thumbnails.astype(np.float32), axes=(1, 2), norm="ortho")
    lowest = spectrum[:, :HASH_SIDE, :HASH_SIDE].reshape(len(thumbnails), HASH_SIDE**2)
    return lowest > np.median(lowest[:, 1:], axis=1, keepdims=True)


def details(thumbnails: np.ndarray) -> np.ndarray:
    """What `thumbnails`, (n, 32, 32), show in detail: (n, 1024) float32 of mean 0 and length 1, or 0 if there is none.

    The product of two rows is the correlation of two images. From every pixel the mean around it is subtracted, in
    which black pixels do not count (normalized convolution, Knutsson and Westin 1993), and they stay 0: all images of
    a probe share the edges of its sector, by which they would be alike.
    """
    values = thumbnails.astype(np.float32)
    contrast = values.std((1, 2))
    shown = (values > BLACK_LEVEL).astype(np.float32)
    around = _blur(values * shown) / np.maximum(_blur(shown), 1e-3)
    values = ((values - around) * shown).reshape(len(values), -1)
    shown = shown.reshape(values.shape)
    values -= shown * (values.sum(1, keepdims=True) / np.maximum(shown.sum(1, keepdims=True), 1))
    length = np.linalg.norm(values, axis=1, keepdims=True)
    usable = (contrast[:, None] >= LEAST_CONTRAST) & (length > 0)
    return np.divide(values, length, out=np.zeros_like(values), where=usable)


def _blur(pictures: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(pictures, (0, DETAIL_SIGMA, DETAIL_SIGMA))


def find_similar(thumbnails: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs (i, j, correlation), i < j, of `thumbnails`, (n, 32, 32), that are alike.

    Both limits must be kept: the number of different bits, and the correlation. All pairs are compared, by products of
    matrices in blocks of rows: a few seconds and under 100 MB for 10,000 images.
    """
    if not len(thumbnails):
        return []
    signs = np.where(perceptual_bits(thumbnails), 1, -1).astype(np.float32)
    pictures = details(thumbnails)
    return [pair for start in range(0, len(signs), ROWS_AT_ONCE) for pair in _similar_to_block(signs, pictures, start)]


def _similar_to_block(signs: np.ndarray, pictures: np.ndarray, start: int) -> Iterator[tuple[int, int, float]]:
    rows = np.arange(start, min(start + ROWS_AT_ONCE, len(signs)))
    # Equal bits add 1 to the product and different ones −1.
    different = (signs.shape[1] - signs[rows] @ signs[start:].T) / 2
    later = np.arange(start, len(signs)) > rows[:, None]
    candidates = (different <= MOST_DIFFERENT_BITS) & later
    chosen = np.flatnonzero(candidates.any(1))
    correlation = pictures[rows[chosen]] @ pictures[start:].T
    found = candidates[chosen] & (correlation >= LEAST_CORRELATION)
    for i, j in zip(*np.nonzero(found), strict=True):
        yield int(rows[chosen[i]]), int(start + j), min(1.0, round(float(correlation[i, j]), 6))


def similar_pairs(
    names: Sequence[str], thumbnails: Mapping[str, np.ndarray], groups: Mapping[str, str]
) -> list[SimilarPair]:
    """Pairs of `names` whose `thumbnails`, (32, 32) each, are alike, the most alike first.

    Args:
        groups: declared group by name; a name that is missing was not declared.
    """
    if not names:
        return []
    found = find_similar(np.stack([thumbnails[name] for name in names]))
    pairs = []
    for i, j, correlation in found:
        declared = groups.get(names[i]), groups.get(names[j])
        crosses = None not in declared and declared[0] != declared[1]
        pairs.append(SimilarPair(names[i], names[j], correlation, crosses))
    return sorted(pairs, key=lambda pair: (-pair.correlation, pair.first, pair.second))


def connected_groups(names: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Group of every name, called after its first member, where `links` join names directly or through others."""
    place = {name: index for index, name in enumerate(names)}
    ends = np.array([[place[one], place[other]] for one, other in links], dtype=int).reshape(-1, 2)
    graph = sparse.coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(names), len(names)))
    _, parts = csgraph.connected_components(graph, directed=False)
    first: dict[int, str] = {}
    for name, part in zip(names, parts.tolist(), strict=True):
        first.setdefault(part, name)
    return {name: first[part] for name, part in zip(names, parts.tolist(), strict=True)}


def members_of(groups: Mapping[str, str]) -> dict[str, list[str]]:
    """Names in each group, in their order."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in groups.items():
        members[group].append(name)
    return dict(members)
