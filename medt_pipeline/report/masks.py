"""The report of a folder of predicted masks without ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json, require_folder
from medt_pipeline.core.images import list_images, stem_of
from medt_pipeline.core.progress import progress
from medt_pipeline.evaluation.label_maps import find_label_maps, read_label_map
from medt_pipeline.evaluation.labels import Labels, declared_labels, found_labels
from medt_pipeline.inference.predict import MANIFEST
from medt_pipeline.inference.recipe import QUALITY_TABLE
from medt_pipeline.report.cases import Case, Region, in_order, read_quality
from medt_pipeline.report.data_set import REPORT_FILE, UNCERTAINTY, with_uncertainty
from medt_pipeline.report.formats import plain
from medt_pipeline.report.overlays import image_of
from medt_pipeline.report.page import MEGABYTES, PageContent, WrittenReport, write_report


def report_masks(
    masks: Path,
    images: Path | None = None,
    target: Path | None = None,
    megabytes: float = MEGABYTES,
    quiet: bool = False,
) -> WrittenReport:
    """Write the report of a folder of masks: areas, parts, estimated Dice and uncertainty where medt_predict left them.

    Args:
        masks: folder of label maps.
        images: folder of their images, or one image; None: as medt_prediction.json beside the masks says.
        target: file to write; None: medt_report.html among the masks.
        megabytes: size of the page that is not exceeded.
        quiet: show no progress.

    Raises:
        UserError: there are no masks, it is not known where the images are, a mask has no image, or a file is broken.
    """
    files = find_label_maps(masks, "masks")
    manifest = read_json(masks / MANIFEST) if (masks / MANIFEST).exists() else {}
    sources = _images(masks, images, manifest)
    missing = [file.name for name, file in files.items() if image_of(name, sources) is None]
    if missing:
        raise UserError(f"{missing[0]} has no image in {images or manifest['images']}; name both alike.")
    labels = declared_labels(masks, masks) or _found(files)
    estimated = read_quality(masks / QUALITY_TABLE)
    cases = []
    for name, file in progress(files.items(), "Masks", len(files), "mask", quiet):
        case = Case(
            name,
            file,
            image_of(name, sources),
            regions=_regions(file, labels),
            estimated_dice=estimated.get(name, math.nan),
        )
        cases.append(with_uncertainty(case, masks / UNCERTAINTY / f"{name}.png"))
    content = PageContent(
        title=f"Predicted masks: {manifest.get('data_set', masks.resolve().name)}",
        subtitle="Masks without ground truth: nothing on this page is a measured accuracy.",
        tiles=_tiles(cases, labels),
        runs={"folds": [], "facts": _facts(manifest)} if manifest else {},
    )
    return write_report(target or masks / REPORT_FILE, content, in_order(cases), labels.foreground, megabytes, quiet)


def _images(masks: Path, images: Path | None, manifest: Mapping[str, Any]) -> dict[str, Path]:
    """Image files by stem."""
    if images is None:
        if "images" not in manifest:
            raise UserError(f"Where the images of {masks} lie is not known; say so with -i IMAGES.")
        images = Path(str(manifest["images"]))
        if not images.exists():
            raise UserError(f"{masks / MANIFEST} names {images}, which does not exist; say with -i where it is now.")
    files = [images] if images.is_file() else list_images(require_folder(images, "images"))
    return {stem_of(path): path for path in files}


def _found(files: Mapping[str, Path]) -> Labels:
    values: set[int] = set()
    for file in files.values():
        values.update(np.unique(read_label_map(file)).tolist())
    return found_labels(values, values)


def _regions(file: Path, labels: Labels) -> dict[str, Region]:
    mask = read_label_map(file)
    unknown = labels.unknown(np.unique(mask).tolist())
    if unknown:
        raise UserError(f"{file} holds the value {unknown[0]}, but {labels.source} declares {labels}.")
    return {
        name: Region(float((mask == value).mean()), int(ndimage.label(mask == value, np.ones((3, 3)))[1]))
        for name, value in labels.foreground.items()
    }


def _tiles(cases: list[Case], labels: Labels) -> list[tuple[str, str]]:
    empty = sum(all(one.parts == 0 for one in case.regions.values()) for case in cases)
    found = [("Masks", str(len(cases))), ("Classes", ", ".join(labels.foreground)), ("Empty masks", str(empty))]
    estimated = [case.estimated_dice for case in cases if not math.isnan(case.estimated_dice)]
    return [*found, ("Median estimated Dice", f"{np.median(estimated):.3f}")] if estimated else found


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How the masks were made; the command and the folders, which name the machine, stay out of the page."""
    terms = {
        "time": "Predicted",
        "data_set": "Trained on",
        "models": "Models",
        "by_recipe": "Recipe of medt_find_best",
        "mirroring": "Averaged over mirror images",
        "device": "Device",
        "seconds": "Seconds",
        "failed": "Not predicted",
        "packages": "Versions",
    }
    return [(term, plain(manifest[key])) for key, term in terms.items() if manifest.get(key) not in (None, {}, [])]
