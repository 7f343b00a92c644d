from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import write_png
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.report.review import ReviewOptions, read_shift, review_masks
from tests.report.conftest import IMAGE, SCRIPT
from tests.report.drawn_results import NAME, disc
from tests.report.html_page import Elements, words

NAMES = ("p0_0", "p1_0", "p2_0", "p3_0")
QUIET = ReviewOptions(quiet=True)


@pytest.fixture
def masks(results: Workspace, tmp_path: Path) -> Path:
    """Masks of three cases with a disc and one without, their images beside, and what medt_predict leaves."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks, masks / "uncertainty"):
        folder.mkdir()
    for number, name in enumerate(NAMES):
        shutil.copy(results.raw / NAME / "imagesTr" / f"{name}_0000.png", images / f"{name}.png")
        write_png(masks / f"{name}.png", disc(8) if number else np.zeros((48, 64), np.uint8))
        write_png(masks / "uncertainty" / f"{name}.png", np.full((48, 64), 10 * number, np.uint8))
    (masks / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "gland": 1}}))
    record = {"images": str(images), "data_set": "Dataset101_GlaS", "command": ["/secret/path"]}
    (masks / "medt_prediction.json").write_text(json.dumps(record))
    (masks / "medt_quality.csv").write_text("image,estimated_dice\np1_0.png,0.25\np2_0.png,0.75\np3_0.png,0.5\n")
    return masks


def rows(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def test_the_queue_is_a_table_and_a_page(masks: Path) -> None:
    (masks / "medt_shift.csv").write_text("image,facts_unlike,what\np3_0.png,1,darker\np1_0.png,0,\n")
    written = review_masks(masks, options=QUIET)
    assert written.page.file == masks / "medt_review.html"
    table = rows(masks / "medt_review.csv")
    assert [row["case"] for row in table] == ["p0_0", "p1_0", "p3_0", "p2_0"]
    assert [row["predicted_quality"] for row in table] == ["", "0.2500", "0.5000", "0.7500"]
    assert table[2]["reason"] == "estimated Dice 0.500; unlike the training images: darker"
    assert [Path(row["mask"]) for row in table] == [masks / f"{row['case']}.png" for row in table]
    assert [Path(row["image"]).name for row in table] == [f"{row['case']}.png" for row in table]
    page = words(written.page.file)
    assert page.index("p0_0") < page.index("p1_0") < page.index("p3_0") < page.index("p2_0")
    assert "medt_convert --add-corrections CORRECTED --reviewed MASKS -d 101" in page
    assert "Estimated Dice at most" in page
    assert "Written by medt_review" in page
    links = [one["href"] for one in Elements(written.page.file.read_text()).all("a")]
    assert all((masks / f"{name}.png").name in links for name in NAMES)
    text = written.page.file.read_text(encoding="utf-8")
    assert "/secret" not in text
    assert str(masks.parent) not in text
    assert written.send_back == f"medt_convert --add-corrections CORRECTED --reviewed {masks} -d 101"


def test_the_page_elsewhere_names_files_without_linking_them(masks: Path, tmp_path: Path) -> None:
    written = review_masks(masks, options=ReviewOptions(top=2, target=tmp_path / "far" / "page.html", quiet=True))
    assert [row["rank"] for row in rows(tmp_path / "far" / "medt_review.csv")] == ["1", "2"]
    assert "p1_0.png" in words(written.page.file)
    assert not [one for one in Elements(written.page.file.read_text()).all("a") if str(one["href"]).endswith(".png")]
    assert "2 of 4" in words(written.page.file)


def test_uncertainty_takes_the_place_of_the_estimate(masks: Path) -> None:
    (masks / "medt_quality.csv").unlink()
    written = review_masks(masks, options=ReviewOptions(empty="last", quiet=True))
    area, pixels = int(disc(8).sum()), 48 * 64
    table = rows(written.table)
    assert [row["case"] for row in table] == ["p3_0", "p2_0", "p1_0", "p0_0"]
    for row, level in zip(table, (30, 20, 10), strict=False):
        assert float(row["predicted_quality"]) == pytest.approx(area / (area + pixels * level / 255), abs=1e-4)
    page = words(written.page.file)
    assert "the certainty ranks the masks" in page
    assert "come last" in page
    assert "Certainty at most" in page


def test_nothing_to_go_by(masks: Path) -> None:
    (masks / "medt_quality.csv").unlink()
    shutil.rmtree(masks / "uncertainty")
    with pytest.raises(UserError, match="tells which are doubtful; predict again with --uncertainty"):
        review_masks(masks, options=QUIET)
    assert not (masks / "medt_review.html").exists()
    assert not (masks / "medt_review.csv").exists()


def test_names_are_text_in_page_and_table(masks: Path, tmp_path: Path) -> None:
    evil = ["=cmd|calc", f"{IMAGE}", '"><b>&', "a b?#%"]
    for name, other in zip(NAMES, evil, strict=True):
        for folder in (masks, masks / "uncertainty", tmp_path / "images"):
            (folder / f"{name}.png").rename(folder / f"{other}.png")
    (masks / "medt_quality.csv").unlink()
    (masks / "dataset.json").write_text(json.dumps({"labels": {"background": 0, SCRIPT: 1}}))
    (masks / "medt_shift.csv").write_text(f'image,facts_unlike,what\na b?#%.png,1,"{SCRIPT}, so"\n')
    written = review_masks(masks, options=QUIET)
    page = Elements(written.page.file.read_text(encoding="utf-8"))
    assert not page.all("b")
    assert len(page.all("script")) == 1
    assert all("onerror" not in one for one in page.all("img"))
    linked = {unquote(str(one["href"])) for one in page.all("a")}
    assert {f"{name}.png" for name in evil} <= linked
    assert not any(str(one["href"]).startswith(("javascript", "=")) for one in page.all("a"))
    table = rows(written.table)
    assert {row["case"] for row in table} == {"'=cmd|calc", *evil[1:]}
    assert SCRIPT in next(row["reason"] for row in table if row["case"] == "a b?#%")


def test_broken_tables_are_named(masks: Path) -> None:
    (masks / "medt_shift.csv").write_text("nothing\n1\n")
    with pytest.raises(UserError, match=r"medt_shift\.csv is not a table of images unlike"):
        review_masks(masks, options=QUIET)
    assert read_shift(masks / "absent.csv") == {}
    (masks / "medt_shift.csv").unlink()
    write_png(masks / "uncertainty" / "p1_0.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(UserError, match=r"uncertainty.p1_0\.png is not of the size of .*p1_0\.png"):
        review_masks(masks, options=QUIET)
