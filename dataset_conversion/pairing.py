"""Which mask belongs to which image, by name alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.images import stem_of

from .problems import some

_WORDS = "masks?|seg|segmentation|labels?|gt|ground_?truth|anno|annotation"
# a number may follow: BUSI's second mask of an image is `a_mask_1`
_AFTER = re.compile(rf"(.+)[ _.-](?:{_WORDS})(?:[ _-]?\d+)?", re.IGNORECASE)
_BEFORE = re.compile(rf"(?:{_WORDS})[ _.-](.+)", re.IGNORECASE)
_CHANNEL = "_0000"


@dataclass(frozen=True)
class Pairing:
    """The outcome: pairs sorted by image, what stayed alone on both sides, and what fits more than once."""

    pairs: tuple[tuple[Path, Path], ...]
    images_alone: tuple[Path, ...]
    masks_alone: tuple[Path, ...]
    ambiguous: tuple[str, ...]


def pair(images: Sequence[Path], masks: Sequence[Path]) -> Pairing:
    """Match masks to images by stem, case-sensitive.

    A mask fits the image with the same stem; else the one whose stem remains when a word such as mask, seg, label, gt
    or anno is taken off the mask's end or start (`a_mask`, `a_mask_1`, `mask_a` fit `a`); else nnU-Net's `a_0000` for
    the mask `a`.
    """
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        by_stem[stem_of(image)].append(image)
    twins = [f"several images are named {stem}: {_names(found)}" for stem, found in by_stem.items() if len(found) > 1]
    masks_of: dict[Path, list[Path]] = defaultdict(list)
    alone: list[Path] = []
    for mask in masks:
        stem = next((stem for stem in possible_stems(stem_of(mask)) if stem in by_stem), None)
        if stem is None:
            alone.append(mask)
        else:
            masks_of[by_stem[stem][0]].append(mask)
    several = [
        f"the image {image.name} has several masks: {_names(found)}"
        for image, found in masks_of.items()
        if len(found) > 1
    ]
    return Pairing(
        pairs=tuple((image, masks_of[image][0]) for image in sorted(masks_of)),
        # a twin is reported once, as ambiguous
        images_alone=tuple(image for image in images if image not in masks_of and by_stem[stem_of(image)][0] == image),
        masks_alone=tuple(alone),
        ambiguous=tuple(sorted(twins + several)),
    )


def possible_stems(mask_stem: str) -> list[str]:
    """Stems of the images that a mask of this name may belong to, the likeliest first."""
    bare = [match[1] for match in (_AFTER.fullmatch(mask_stem), _BEFORE.fullmatch(mask_stem)) if match]
    plain = [mask_stem, *bare]
    return [*plain, *(stem + _CHANNEL for stem in plain)]


def split_shared_folder(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Part one folder that holds both into (images, masks): a mask is what fits another file without its own name."""
    stems = {stem_of(file) for file in files}
    masks = [file for file in files if stems & set(possible_stems(stem_of(file))[1:]) - {stem_of(file)}]
    return [file for file in files if file not in masks], masks


def split_by_words(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Part one folder that holds both into (images, masks): a mask is what a word such as mask or label says is one."""
    masks = [file for file in files if _AFTER.fullmatch(stem_of(file)) or _BEFORE.fullmatch(stem_of(file))]
    return [file for file in files if file not in masks], masks


def _names(paths: Sequence[Path]) -> str:
    return some(sorted(path.name for path in paths))
