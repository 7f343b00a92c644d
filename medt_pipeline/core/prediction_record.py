"""What medt_predict writes about a folder of masks: medt_prediction.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json

MANIFEST = "medt_prediction.json"


def read_prediction_record(masks: Path) -> dict[str, Any]:
    """The record in the folder `masks`; {} where there is none.

    Raises:
        UserError: it is no JSON object.
    """
    file = masks / MANIFEST
    record = read_json(file) if file.exists() else {}
    if not isinstance(record, dict):
        raise UserError(f"{file} is not a record of medt_predict; restore it or delete it.")
    return record


def images_of(masks: Path, record: Mapping[str, Any]) -> Path:
    """The folder of images that were predicted, or the one image.

    Raises:
        UserError: `record` does not tell it, or it is not there any more.
    """
    if "images" not in record:
        raise UserError(f"Where the images of {masks} lie is not known; say so with --images.")
    images = Path(str(record["images"]))
    if not images.exists():
        raise UserError(f"{masks / MANIFEST} names {images}, which does not exist; say with --images where it is now.")
    return images


def model_of(record: Mapping[str, Any]) -> str:
    """The model that predicted, such as "Dataset101_GlaS, recipe of 2d (folds 0, 1)"; "" where it is not told."""
    models = record.get("models")
    parts = []
    for one in models if isinstance(models, list) else []:
        if isinstance(one, dict) and isinstance(one.get("folds"), list):
            parts.append(f"{one.get('configuration')} (folds {', '.join(map(str, one['folds']))})")
    how = f"{'recipe of ' if record.get('by_recipe') is True else ''}{' + '.join(parts)}" if parts else ""
    file = record.get("model_file_sha256")
    known = [str(record["data_set"])] if record.get("data_set") else []
    known += [how] if how else []
    known += [f"model file {str(file)[:12]}"] if file else []
    return ", ".join(known)
