"""usgra-seg: drawn small in the layout of its repository, and the real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import usgra
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.dataset_conversion.verification import verify

from .drawn import load, picture, save, square
from .test_busi import assert_no_alike_pair_is_split

PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0]


def draw(root: Path) -> Path:
    """A gray and a coloured image for training and one for testing, masks with a palette, one without vessel."""
    for seed, (part, name) in enumerate((("", "0000"), ("", "0001"), ("test", "0004"))):
        folder = root / "dataset" / part
        save(folder / "images" / f"{name}.png", picture(seed, channels=1 if seed == 0 else 3))
        labels = square(1)
        labels[9:11, 1:5] = 2 if seed else 0
        mask = Image.fromarray(labels, mode="P")
        mask.putpalette(PALETTE)
        (folder / "masks").mkdir(parents=True, exist_ok=True)
        mask.save(folder / "masks" / f"{name}.png")
    return root


def target_in(root: Path) -> Target:
    return Target(Workspace.locate(root / "ws"), 104, "USGRA")


def test_indices_are_labels_and_the_test_part_is_for_testing(tmp_path: Path) -> None:
    target = target_in(tmp_path)
    summary = usgra.convert(draw(tmp_path / "usgra"), target)
    assert (summary.training_cases, summary.test_cases, summary.test_masks) == (2, 1, 1)
    assert [line.name for line in summary.labels] == ["background", "nerve", "vessel"]
    assert [line.masks for line in summary.labels] == [3, 3, 2]
    assert summary.channels == "RGB"
    labels = load(target.folder / "labelsTs" / "0004.png")
    assert (labels[4, 5], labels[9, 2], labels[0, 0]) == (1, 2, 0)
    gray = load(tmp_path / "usgra/dataset/images/0000.png")
    np.testing.assert_array_equal(load(target.folder / "imagesTr" / "0000_0000.png"), np.stack([gray] * 3, axis=2))


def test_another_label_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "usgra")
    save(tmp_path / "usgra" / "dataset" / "masks" / "0001.png", square(3))
    with pytest.raises(UserError, match=r"0001\.png holds values that --labels does not name: 3"):
        usgra.convert(tmp_path / "usgra", target_in(tmp_path))


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_images(tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    source, target = real_data("usgra"), target_in(tmp_path)
    summary = usgra.convert(source, target)
    masks = sorted((source / "dataset" / "masks").iterdir())
    assert summary.training_cases == len(masks) == len(list((target.folder / "labelsTr").iterdir())) == 204
    held = [set(np.unique(load(path)).tolist()) for path in masks]
    assert [line.masks for line in summary.labels] == [sum(label in one for one in held) for label in (0, 1, 2)]
    assert summary.duplicates == ("0043 = 0077; their masks differ",)
    for path in masks[::40]:
        np.testing.assert_array_equal(load(target.folder / "labelsTr" / path.name), load(path))
    assert verify(target.folder).findings == ()
    groups = {name: case.group for name, case in read_cases(target.folder).items()}
    assert groups["0077"] == "0043"
    assert_no_alike_pair_is_split(target.folder, groups)
