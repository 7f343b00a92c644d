"""OTU_2d, drawn small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError

from .drawn import picture, save, square
from .drawn_releases import convert
from .test_tn3k import jpeg

TRAIN, VAL = "1.JPG 0\n2.JPG 5\n", "10.JPG 7\n"


def draw(root: Path) -> Path:
    for name in (1, 2, 10):
        jpeg(root / "images" / f"{name}.JPG", picture(name))
        save(root / "annotations" / f"{name}_binary.PNG", square())
        save(root / "annotations" / f"{name}.PNG", np.stack([square(64)] * 3, axis=2))
    for name, text in (("train_cls.txt", TRAIN), ("val_cls.txt", VAL)):
        (root / name).write_text(text)
    return root


def test_one_label(tmp_path: Path) -> None:
    done = convert("otu_2d", draw(tmp_path / "OTU_2d"), tmp_path)
    assert done.labels == {"background": 0, "tumour": 1}
    np.testing.assert_array_equal(done.label("2"), square(1))
    np.testing.assert_array_equal(done.label("10", "Ts"), square(1))
    assert done.cases["2"].facts == {"kind": "normal ovary"}
    assert "1 masks show a normal ovary; only --classes kinds tells it from tumours" in done.summary.notes


def test_eight_kinds(tmp_path: Path) -> None:
    done = convert("otu_2d", draw(tmp_path / "OTU_2d"), tmp_path, classes="kinds")
    assert list(done.labels)[:3] == ["background", "chocolate cyst", "serous cystadenoma"]
    for name, part, value in (("1", "Tr", 1), ("2", "Tr", 6), ("10", "Ts", 8)):
        np.testing.assert_array_equal(done.label(name, part), square(value))


@pytest.mark.parametrize("text", ["1.JPG\n", "1.JPG 8\n", "1.JPG zero\n"])
def test_lists_of_another_form(tmp_path: Path, text: str) -> None:
    source = draw(tmp_path / "OTU_2d")
    (source / "train_cls.txt").write_text(text)
    with pytest.raises(UserError, match=r"train_cls\.txt"):
        convert("otu_2d", source, tmp_path)
