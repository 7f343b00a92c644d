"""Overlays of whole folders: the masks of one over the images of another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder, require_folder
from medt_pipeline.core.images import list_images, read_image, stem_of, write_png
from medt_pipeline.core.overlays import draw_overlay
from medt_pipeline.evaluation.label_maps import find_label_maps, read_label_map


def write_overlays(
    images: Path,
    masks: Path,
    target: Path,
    reference: Path | None = None,
    names: dict[int, str] | None = None,
) -> list[Path]:
    """Write `target`/NAME.png for every mask of `masks`, over the image of the same stem or of stem + "_0000".

    A mask without a file of its stem in the folder `reference` is drawn alone. Returns the files written, sorted.

    Raises:
        UserError: a folder is missing or empty, a mask has no image, a file cannot be read, or sizes differ.
    """
    sources = {stem_of(path): path for path in list_images(require_folder(images, "images"))}
    truths = {} if reference is None else find_label_maps(reference, "references")
    written = []
    for name, path in find_label_maps(masks, "masks").items():
        source = image_of(name, sources)
        if source is None:
            raise UserError(f"{path} has no image in {images}; name both alike, but for the ending.")
        image = read_image(source)
        mask = read_fitting(path, source, image.shape)
        truth = read_fitting(truths[name], source, image.shape) if name in truths else None
        written.append(make_folder(target) / f"{name}.png")
        write_png(written[-1], draw_overlay(image, mask, truth, names))
    return written


def image_of(name: str, images: Mapping[str, Path]) -> Path | None:
    """The image of the mask `name` among `images` by stem: of the same stem or of stem + "_0000"; None without one."""
    return images.get(name) or images.get(f"{name}_0000")


def read_fitting(path: Path, source: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the label map of an image `source` of `shape`, (H, W, …).

    Raises:
        UserError: it cannot be read or has another size.
    """
    label_map = read_label_map(path)
    if label_map.shape != shape[:2]:
        sizes = [f"{height} × {width}" for height, width in (label_map.shape, shape[:2])]
        raise UserError(f"{path} has {sizes[0]} pixels but {source} has {sizes[1]}; give the mask of this image.")
    return label_map
