"""Drawn data sets, small and with known pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

GRADES = """name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)
testA_1,4, benign, adenomatous
testB_1,9, malignant, moderately differentiated
train_1,2, benign, healthy
train_2,2, benign, healthy
train_3,10, malignant, poorly differentiated
"""


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def picture(seed: int, size: tuple[int, int] = (12, 15), channels: int = 3) -> np.ndarray:
    shape = size if channels == 1 else (*size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def blocks(labels: np.ndarray) -> np.ndarray:
    """Every label as a 3×3 block, so that it fills an area."""
    return np.kron(labels, np.ones((3, 3), dtype=labels.dtype))


def square(value: int = 255, size: tuple[int, int] = (12, 15)) -> np.ndarray:
    mask = np.zeros(size, dtype=np.uint8)
    mask[3:8, 4:10] = value
    return mask


def draw_folder(root: Path, names: tuple[str, ...] = ("a", "b", "c"), value: int = 255) -> tuple[Path, Path]:
    """images/ and masks/ with one square a mask."""
    for seed, name in enumerate(names):
        save(root / "images" / f"{name}.png", picture(seed))
        save(root / "masks" / f"{name}.png", square(value))
    return root / "images", root / "masks"


def draw_glas(root: Path) -> Path:
    """Three training images of two patients, testA_1 with a mask and testB_1 without, two objects a mask."""
    names = ("train_1", "train_2", "train_3", "testA_1", "testB_1")
    for seed, name in enumerate(names):
        save(root / f"{name}.bmp", picture(seed))
        objects = square(1)
        objects[9:11, 1:5] = 7
        if name != "testB_1":
            save(root / f"{name}_anno.bmp", objects)
    (root / "Grade.csv").write_text(GRADES)
    return root


def files_of(folder: Path) -> dict[str, bytes]:
    """Content of every file below `folder`, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
