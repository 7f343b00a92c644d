"""Lizard, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from medt_pipeline.core.errors import UserError

from .drawn import picture, save, square
from .drawn_releases import convert


def draw(root: Path) -> Path:
    objects = square(3).astype(np.int32)
    objects[9:11, 1:5] = 8
    labels = root / "lizard_labels" / "Lizard_Labels"
    (labels / "Labels").mkdir(parents=True)
    for seed, (folder, name) in enumerate((("1", "consep_1"), ("2", "glas_4"))):
        save(root / f"lizard_images{folder}" / f"Lizard_Images{folder}" / f"{name}.png", picture(seed))
        kinds = {"inst_map": objects, "id": np.array([[3], [8]]), "class": np.array([[2], [6]])}
        savemat(labels / "Labels" / f"{name}.mat", kinds | {"bbox": np.zeros((2, 4)), "centroid": np.zeros((2, 2))})
    (labels / "info.csv").write_text("Filename,Source,Split\nconsep_1,consep,1\nglas_4,glas,3\n")
    return root


def test_objects_and_kinds(tmp_path: Path) -> None:
    source = draw(tmp_path / "lizard")
    done = convert("lizard", source, tmp_path, classes="kinds")
    expected = square(2)
    expected[9:11, 1:5] = 6
    np.testing.assert_array_equal(done.label("glas_4"), expected)
    assert (done.labels["epithelial"], done.labels["connective"]) == (2, 6)
    assert done.objects("consep_1").max() == 8
    assert done.cases["glas_4"].facts == {"origin": "glas", "split": "3"}


def test_labels_must_be_there_once(tmp_path: Path) -> None:
    source = draw(tmp_path / "lizard")
    (source / "lizard_labels" / "Lizard_Labels" / "info.csv").unlink()
    with pytest.raises(UserError, match="one Lizard_Labels with info.csv"):
        convert("lizard", source, tmp_path)
