"""Finding and reading label maps: mask pictures, and the medical formats that predictions come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import require_folder
from medt_pipeline.core.images import LOSSLESS_ENDINGS, read_mask

MEDICAL_ENDINGS = (".nii.gz", ".nii", ".mha")
LABEL_MAP_ENDINGS = (*LOSSLESS_ENDINGS, *MEDICAL_ENDINGS)
"""Endings that `read_label_map` accepts, in lower case."""


def find_label_maps(folder: Path, what: str) -> dict[str, Path]:
    """Label maps directly in `folder` by stem ("a" for a.png and a.nii.gz), sorted; `what` names them in messages.

    Raises:
        UserError: the folder is missing or holds none, or two files share a stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(require_folder(folder, what).iterdir()):
        ending = _ending(path.name)
        if ending is None or path.name.startswith(".") or not path.is_file():
            continue
        stem = path.name[: -len(ending)]
        if stem in found:
            raise UserError(f"{found[stem]} and {path.name} are {what} of the same case; keep one of them.")
        found[stem] = path
    if not found:
        raise UserError(f"{folder} holds no {what}: no file there ends in {', '.join(LABEL_MAP_ENDINGS)}.")
    return found


def read_label_map(path: Path) -> np.ndarray:
    """Read one label map as (H, W) integers, with the values of the file.

    Raises:
        UserError: the file is unreadable, is a colour picture, holds more than one slice, or holds values that are
            not whole numbers.
    """
    medical = _ending(path.name) in MEDICAL_ENDINGS
    labels = _read_medical(path) if medical else read_mask(path)
    if labels.ndim != 2:
        raise UserError(
            f"{path} is a colour picture, but labels were expected (0 for background, 1, 2, … for the classes); "
            "medt_convert turns colours into labels."
        )
    return labels


def values_in(label_map: np.ndarray) -> list[int]:
    """The different values of (H, W) integers, sorted."""
    # Counting is several times faster than sorting, where the values cannot be many.
    if label_map.dtype == np.uint8:
        return np.flatnonzero(np.bincount(label_map.ravel())).tolist()
    return np.unique(label_map).tolist()


def _ending(name: str) -> str | None:
    return next((ending for ending in LABEL_MAP_ENDINGS if name.lower().endswith(ending)), None)


def _read_medical(path: Path) -> np.ndarray:
    try:
        labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"{path} cannot be read as an image ({reason}); replace it or leave it out.") from None
    if labels.ndim == 3 and 1 in labels.shape:
        labels = labels.squeeze(labels.shape.index(1))
    if labels.ndim != 2:
        raise UserError(f"{path} has the shape {labels.shape}; one slice of labels was expected.")
    if not np.issubdtype(labels.dtype, np.integer):
        if not (labels == np.floor(labels)).all():
            raise UserError(f"{path} holds values that are not whole numbers; a mask must hold labels.")
        labels = labels.astype(np.int64)
    return labels
