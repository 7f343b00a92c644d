"""Drawn data sets with known masks, for the demonstration and the tests.

Every function draws from the generator that it is given, so the same seed gives the same bytes. What belongs to a
patient (machine settings, stains) is drawn apart from the image, so that the images of one patient look alike.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Literal

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder
from medt_pipeline.core.images import list_images, write_png
from medt_pipeline.demo.histology import draw_histology, draw_stain
from medt_pipeline.demo.ultrasound import draw_scanner, draw_ultrasound

__all__ = ["DEFAULT_SIZE", "Kind", "draw_histology", "draw_ultrasound", "write_drawn_set"]

Kind = Literal["ultrasound", "histology"]
DEFAULT_SIZE = (160, 208)
"""Height and width."""


def write_drawn_set(
    folder: Path,
    kind: Kind,
    patients: int,
    images_per_patient: int,
    size: tuple[int, int] = DEFAULT_SIZE,
    seed: int = 0,
) -> None:
    """Write images/p03_2.png and masks/p03_2.png (0 and 255) for every image of every patient, and test/ of more.

    The test set holds a quarter as many patients, at least one, numbered on from the last. `^(p\\d+)` finds the patient
    in a name. An image depends on kind, seed, size and its own numbers only, so a larger set begins like a smaller one.
    Files of the same names are replaced.

    Raises:
        UserError: `folder` holds images of another set, or the numbers are out of range.
    """
    if not 1 <= patients <= 79 or images_per_patient < 1:
        raise UserError(f"Patients must be 1 to 79 and images 1 or more, got {patients} and {images_per_patient}.")
    last = patients + max(1, patients // 4)
    sets = {folder: range(1, patients + 1), folder / "test": range(patients + 1, last + 1)}
    named = {
        target: {
            f"p{patient:02d}_{image}": (patient, image) for patient in numbers for image in range(images_per_patient)
        }
        for target, numbers in sets.items()
    }
    for target, names in named.items():
        _refuse_strangers(target, names)
    for target, names in named.items():
        for name, (patient, image) in names.items():
            picture, mask = _draw_numbered(kind, seed, patient, image, size)
            write_png(target / "images" / f"{name}.png", picture)
            write_png(target / "masks" / f"{name}.png", mask * np.uint8(255))


def _refuse_strangers(target: Path, names: Container[str]) -> None:
    for folder in (make_folder(target / "images"), make_folder(target / "masks")):
        strangers = [path.name for path in list_images(folder) if path.stem not in names]
        if strangers:
            raise UserError(f"{folder} holds other images ({strangers[0]}); name a new folder.")


def _draw_numbered(
    kind: Kind, seed: int, patient: int, image: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    # numpy pads seeds with zeros, so [seed, patient] would be the same generator as [seed, patient, 0].
    of_patient, of_image = (np.random.default_rng([seed, patient, number]) for number in (0, 1 + image))
    if kind == "ultrasound":
        return draw_ultrasound(of_image, *size, draw_scanner(of_patient))
    return draw_histology(of_image, *size, draw_stain(of_patient))
