"""CoNSeP, Kumar and CPM-17, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from medt_pipeline.core.errors import UserError

from .drawn import picture, save, square
from .drawn_releases import convert


def nuclei() -> tuple[np.ndarray, np.ndarray]:
    objects, types = square(1).astype(np.uint16), square(4)
    objects[9:11, 1:5], types[9:11, 1:5] = 300, 2
    return objects, types


def draw(root: Path, part: str, name: str, ending: str, seed: int) -> None:
    save(root / part / "Images" / f"{name}.{ending}", picture(seed))
    (root / part / "Labels").mkdir(parents=True, exist_ok=True)
    objects, types = nuclei()
    savemat(root / part / "Labels" / f"{name}.mat", {"inst_map": objects.astype(float), "type_map": types})


def test_consep(tmp_path: Path) -> None:
    for seed, (part, name) in enumerate((("Train", "train_1"), ("Train", "train_2"), ("Test", "test_1"))):
        draw(tmp_path / "CoNSeP", part, name, "png", seed)
    objects, types = nuclei()
    done = convert("consep", tmp_path / "CoNSeP", tmp_path / "one")
    np.testing.assert_array_equal(done.label("train_2"), objects > 0)
    np.testing.assert_array_equal(done.objects("test_1", "Ts"), objects)
    kinds = convert("consep", tmp_path / "CoNSeP", tmp_path / "seven", classes="kinds")
    np.testing.assert_array_equal(kinds.label("train_2"), types)
    assert kinds.labels["malignant epithelial"] == 4


def test_kumar(tmp_path: Path) -> None:
    names = {
        "train": ["TCGA-18-5592-01Z-00-DX1", "TCGA-18-5592-01Z-00-DX2"],
        "test_same": ["TCGA-21-5784-01Z-00-DX1"],
        "test_diff": ["TCGA-DK-A2I6-01A-01-TS1"],
    }
    for part, files in names.items():
        for seed, name in enumerate(files):
            draw(tmp_path / "kumar", part, name, "tif", seed + 10 * len(part))
    done = convert("kumar", tmp_path / "kumar", tmp_path)
    assert done.groups["TCGA-18-5592-01Z-00-DX2"] == "TCGA-18-5592"
    assert (done.summary.training_cases, done.summary.test_masks, done.summary.groups) == (2, 2, 1)
    draw(tmp_path / "kumar", "test", "TCGA-21-5784-01Z-00-DX1", "tif", 5)
    with pytest.raises(UserError, match="is in another part too"):
        convert("kumar", tmp_path / "kumar", tmp_path / "again")


def test_cpm17(tmp_path: Path) -> None:
    for seed, (part, name) in enumerate((("train", "image_00"), ("train", "image_01"), ("test", "image_00"))):
        draw(tmp_path / "cpm17", part, name, "png", seed)
    done = convert("cpm17", tmp_path / "cpm17", tmp_path)
    assert set(done.groups) == {"train_image_00", "train_image_01", "test_image_00"}
    np.testing.assert_array_equal(done.image("test_image_00", "Ts"), picture(2))
