"""PanNuke, drawn small: stacks of real numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError

from .drawn import picture
from .drawn_releases import convert


def channels() -> np.ndarray:
    """Two neoplastic nuclei, one connective that shares two pixels with the first, and the background."""
    masks = np.zeros((12, 15, 6))
    masks[1:4, 1:5, 0], masks[6:9, 1:5, 0] = 4, 9
    masks[2:6, 4:8, 2] = 4
    masks[..., 5] = masks[..., :5].max(axis=2) == 0
    return masks


def draw(root: Path, fold: int) -> None:
    base = root / f"fold_{fold}" / f"Fold {fold}"
    images = np.stack([picture(10 * fold + number) for number in range(2)]).astype(float)
    for kind in ("images", "masks"):
        (base / kind / f"fold{fold}").mkdir(parents=True)
    np.save(base / "images" / f"fold{fold}" / "images.npy", images)
    np.save(base / "images" / f"fold{fold}" / "types.npy", np.array(["Breast", "Bile-duct"]))
    np.save(base / "masks" / f"fold{fold}" / "masks.npy", np.stack([channels(), 0 * channels()]))


def test_stacks(tmp_path: Path) -> None:
    for fold in (1, 2):
        draw(tmp_path / "pannuke", fold)
    done = convert("pannuke", tmp_path / "pannuke", tmp_path, classes="kinds")
    assert set(done.groups) == {"fold1_0000", "fold1_0001", "fold2_0000", "fold2_0001"}
    np.testing.assert_array_equal(done.image("fold2_0001"), picture(21))
    expected = np.zeros((12, 15), dtype=np.uint8)
    expected[2:6, 4:8] = 3
    expected[1:4, 1:5] = expected[6:9, 1:5] = 1
    np.testing.assert_array_equal(done.label("fold1_0000"), expected)
    objects = done.objects("fold1_0000")
    assert sorted(np.unique(objects)) == [0, 1, 2, 3]
    np.testing.assert_array_equal(objects > 0, expected > 0)
    assert len({objects[1, 1], objects[6, 1], objects[5, 7]}) == 3
    assert done.cases["fold2_0001"].facts == {"fold": "fold2", "tissue": "Bile-duct"}
    assert done.summary.empty_masks == 2
    assert sum("image 0: 2 pixels of two kinds given to the first" in line for line in done.summary.repairs) == 2


def test_one_label(tmp_path: Path) -> None:
    draw(tmp_path / "pannuke", 3)
    done = convert("pannuke", tmp_path / "pannuke", tmp_path)
    np.testing.assert_array_equal(done.label("fold3_0000"), channels()[..., 5] == 0)
    assert done.labels == {"background": 0, "nucleus": 1}


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must hold each fold of PanNuke once"):
        convert("pannuke", tmp_path, tmp_path)
    draw(tmp_path / "pannuke", 1)
    base = tmp_path / "pannuke" / "fold_1" / "Fold 1"
    np.save(base / "masks" / "fold1" / "masks.npy", np.zeros((1, 12, 15, 6)))
    with pytest.raises(UserError, match="not hold as many masks"):
        convert("pannuke", tmp_path / "pannuke", tmp_path)
    np.save(base / "images" / "fold1" / "types.npy", np.array([{"evil": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"types\.npy cannot be read"):
        convert("pannuke", tmp_path / "pannuke", tmp_path)
    (base / "images" / "fold1" / "images.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(UserError, match=r"images\.npy cannot be read"):
        convert("pannuke", tmp_path / "pannuke", tmp_path)
