"""Finding and reading label maps, in every format that keeps labels exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import require_folder
from medt_pipeline.core.images import LOSSLESS_ENDINGS, ending_of, read_mask, stem_of


def find_label_maps(folder: Path, what: str) -> dict[str, Path]:
    """Label maps directly in `folder` by stem ("a" for a.png and a.nii.gz), sorted; `what` names them in messages.

    Raises:
        UserError: the folder is missing or holds none, or two files share a stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(require_folder(folder, what).iterdir()):
        if ending_of(path) not in LOSSLESS_ENDINGS or path.name.startswith(".") or not path.is_file():
            continue
        stem = stem_of(path)
        if stem in found:
            raise UserError(f"{found[stem]} and {path.name} are {what} of the same case; keep one of them.")
        found[stem] = path
    if not found:
        raise UserError(f"{folder} holds no {what}: no file there ends in {', '.join(LOSSLESS_ENDINGS)}.")
    return found


def read_label_map(path: Path) -> np.ndarray:
    """Read one label map as (H, W) integers, with the values of the file.

    Raises:
        UserError: the file is unreadable, is a colour picture, holds more than one slice, or holds values that are
            not whole numbers.
    """
    labels = read_mask(path)
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
