"""The report of a folder of predicted masks without ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import require_folder
from medt_pipeline.core.images import list_images, stem_of
from medt_pipeline.core.prediction_record import images_of, read_prediction_record
from medt_pipeline.core.progress import progress
from medt_pipeline.evaluation.label_maps import find_label_maps, read_label_map
from medt_pipeline.evaluation.labels import Labels, declared_labels, found_labels
from medt_pipeline.inference.recipe import QUALITY_TABLE
from medt_pipeline.report.cases import Case, Region, in_order, read_quality
from medt_pipeline.report.data_set import REPORT_FILE, UNCERTAINTY, with_uncertainty
from medt_pipeline.report.formats import plain
from medt_pipeline.report.overlays import image_of
from medt_pipeline.report.page import MEGABYTES, PageContent, WrittenReport, write_report

NO_ACCURACY = "Masks without ground truth: nothing on this page is a measured accuracy."


@dataclass(frozen=True)
class MaskFolder:
    """A folder of predicted masks.

    Attributes:
        cases: one a mask, by name.
        labels: what the values mean.
        record: of medt_predict; {} for masks of other programs.
    """

    cases: tuple[Case, ...]
    labels: Labels
    record: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The data set whose model predicted, "" where that is not known."""
        return str(self.record.get("data_set", ""))


def read_masks(masks: Path, images: Path | None = None, quiet: bool = False) -> MaskFolder:
    """Find masks with their images, areas, parts, estimated Dice and uncertainty where medt_predict left them.

    Args:
        masks: folder of label maps.
        images: folder of their images, or one image; None: as medt_prediction.json beside the masks says.
        quiet: show no progress.

    Raises:
        UserError: there are no masks, it is not known where the images are, a mask has no image, or a file is broken.
    """
    files = find_label_maps(masks, "masks")
    record = read_prediction_record(masks)
    folder = images or images_of(masks, record)
    found = [folder] if folder.is_file() else list_images(require_folder(folder, "images"))
    sources = {stem_of(path): path for path in found}
    missing = [file.name for name, file in files.items() if image_of(name, sources) is None]
    if missing:
        raise UserError(f"{missing[0]} has no image in {folder}; name both alike.")
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
    return MaskFolder(tuple(cases), labels, record)


def report_masks(
    masks: Path,
    images: Path | None = None,
    target: Path | None = None,
    megabytes: float = MEGABYTES,
    quiet: bool = False,
) -> WrittenReport:
    """Write the report of a folder of masks.

    Args:
        masks: folder of label maps.
        images: as for `read_masks`.
        target: file to write; None: medt_report.html among the masks.
        megabytes: size of the page that is not exceeded.
        quiet: show no progress.

    Raises:
        UserError: as for `read_masks`.
    """
    found = read_masks(masks, images, quiet)
    content = PageContent(
        title=f"Predicted masks: {found.title or masks.resolve().name}",
        subtitle=NO_ACCURACY,
        tiles=mask_tiles(found),
        runs=run_facts(found.record),
    )
    order = in_order(found.cases)
    return write_report(target or masks / REPORT_FILE, content, order, found.labels.foreground, megabytes, quiet)


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


def mask_tiles(folder: MaskFolder) -> list[tuple[str, str]]:
    """What is worth a large number: masks, classes, empty masks, median estimated Dice."""
    cases, classes = folder.cases, ", ".join(folder.labels.foreground)
    empty = sum(case.is_empty for case in cases)
    found = [("Masks", str(len(cases))), ("Classes", classes), ("Empty masks", str(empty))]
    estimated = [case.estimated_dice for case in cases if not math.isnan(case.estimated_dice)]
    return [*found, ("Median estimated Dice", f"{np.median(estimated):.3f}")] if estimated else found


def run_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """How the masks were made; the command and the folders, which name the machine, stay out of the page."""
    if not record:
        return {}
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
    facts = [(term, plain(record[key])) for key, term in terms.items() if record.get(key) not in (None, {}, [])]
    return {"folds": [], "facts": facts}
