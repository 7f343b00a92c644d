from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import write_png
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.report.masks import report_masks
from tests.report.drawn_results import NAME, disc
from tests.report.html_page import Elements, words


@pytest.fixture
def folders(results: Workspace, tmp_path: Path) -> tuple[Path, Path]:
    """Images and masks of four cases, with uncertainty maps, labels and the record of medt_predict."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks, masks / "uncertainty"):
        folder.mkdir()
    for number, name in enumerate(("p0_0", "p1_0", "p2_0", "p3_0")):
        shutil.copy(results.raw / NAME / "imagesTr" / f"{name}_0000.png", images / f"{name}.png")
        write_png(masks / f"{name}.png", disc(4 + number) | disc(3, 24, 58))
        write_png(masks / "uncertainty" / f"{name}.png", np.full((48, 64), 10 + number, np.uint8))
    (masks / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "gland": 1}}))
    record = {"images": str(images), "data_set": "Dataset101_GlaS", "device": "cpu", "command": ["/secret/path"]}
    (masks / "medt_prediction.json").write_text(json.dumps(record))
    return images, masks


def test_masks_are_shown_most_uncertain_first(folders: tuple[Path, Path]) -> None:
    _, masks = folders
    written = report_masks(masks, quiet=True)
    assert written.file == masks / "medt_report.html"
    page = words(written.file)
    assert "nothing on this page is a measured accuracy" in page
    assert page.index("p3_0") < page.index("p0_0")
    share = (disc(4) | disc(3, 24, 58)).mean()
    assert f"p0_0 {share:.2%} 2 0.039" in page
    assert "Ground truth" not in page
    assert "Trained on Dataset101_GlaS" in page
    assert "/secret" not in written.file.read_text(encoding="utf-8")
    assert str(masks.parent) not in written.file.read_text(encoding="utf-8")


def test_estimated_dice_decides_where_it_is_known(folders: tuple[Path, Path]) -> None:
    _, masks = folders
    (masks / "medt_quality.csv").write_text("image,estimated_dice\np1_0.png,0.25\np0_0.png,0.75\n")
    page = words(report_masks(masks, quiet=True).file)
    assert "Median estimated Dice 0.500" in page
    assert "Estimated Dice at most" in page
    assert page.index("p1_0") < page.index("p0_0") < page.index("p2_0")


def test_masks_of_other_programs_need_the_images(folders: tuple[Path, Path], tmp_path: Path) -> None:
    images, masks = folders
    for file in ("medt_prediction.json", "dataset.json"):
        (masks / file).unlink()
    shutil.rmtree(masks / "uncertainty")
    with pytest.raises(UserError, match="not known; say so with --images"):
        report_masks(masks, quiet=True)
    for image in images.iterdir():
        image.rename(image.with_name(f"{image.stem}_0000.png"))
    written = report_masks(masks, images, tmp_path / "page.html", quiet=True)
    assert "Area 1" in words(written.file)
    assert len([one for one in Elements(written.file.read_text()).all("img") if one.get("class") == "image"]) == 4


def test_one_image(folders: tuple[Path, Path]) -> None:
    images, masks = folders
    for name in ("p1_0", "p2_0", "p3_0"):
        (masks / f"{name}.png").unlink()
    assert report_masks(masks, images / "p0_0.png", quiet=True).cases == 1


def test_what_does_not_fit_is_named(folders: tuple[Path, Path]) -> None:
    images, masks = folders
    (images / "p2_0.png").unlink()
    with pytest.raises(UserError, match=r"p2_0\.png has no image in .*images"):
        report_masks(masks, quiet=True)
    (masks / "p2_0.png").unlink()
    write_png(masks / "p1_0.png", 3 * disc(5))
    with pytest.raises(UserError, match=r"p1_0\.png holds the value 3, but .*dataset\.json declares"):
        report_masks(masks, quiet=True)
    shutil.rmtree(images)
    with pytest.raises(UserError, match="which does not exist; say with --images"):
        report_masks(masks, quiet=True)
    with pytest.raises(UserError, match="does not exist"):
        report_masks(masks / "nothing", quiet=True)
