from __future__ import annotations

import json
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.report.data_set import report_data_set
from tests.conftest import DATASET_ID, Drawn
from tests.report.drawn_results import MODEL, NAME
from tests.report.html_page import Elements, words


def test_folds_of_one_configuration_where_nothing_was_selected(results: Workspace, tmp_path: Path) -> None:
    written = report_data_set(905, results, target=tmp_path / "new" / "page.html", quiet=True)
    assert (written.cases, written.left_out) == (12, ())
    page = words(written.file)
    assert "2d, folds 0, 1" in page
    assert "12 held-out images at their own size, 6 groups (patients)" in page
    assert "MedT (its paper) – 0.696" in page, "published figures of the data set of this name"
    assert "medt_fingerprint.json is missing" in page
    assert "Ranking" not in page


def test_the_scores_are_those_of_the_folds(results: Workspace, tmp_path: Path) -> None:
    file = results.results / NAME / MODEL.format("2d_unet") / "fold_0" / "validation" / "medt_scores.json"
    scores = json.loads(file.read_text())["classes"]["gland"]
    page = words(report_data_set(905, results, "2d_unet", tmp_path / "page.html", quiet=True).file)
    for name, title in (("dice", "Dice"), ("hd95", "HD95 (px)"), ("surface_dice", "surface Dice (within 2 px)")):
        low, high = scores["mean_interval"][name]
        assert f"{title} {scores['mean'][name]:.3f} ({low:.3f}–{high:.3f})" in page
    assert f"gland {scores['pooled']['dice']:.3f} {scores['pooled']['iou']:.3f} 6 0 0 0" in page


def test_the_recipe_is_shown_with_its_scores_ranking_and_uncertainty(
    selected: tuple[Drawn, dict], tmp_path: Path
) -> None:
    drawn, content = selected
    written = report_data_set(DATASET_ID, drawn.workspace, target=tmp_path / "page.html", quiet=True)
    page = words(written.file)
    one = content["score"]["mean_dice"]
    assert f"Mean Dice {one['value']:.3f} ({one['low']:.3f}–{one['high']:.3f})" in page
    iou = content["score"]["by_class"]["gland"]["iou"]
    assert f"{iou['value']:.3f} ({iou['low']:.3f}–{iou['high']:.3f})" in page
    for row in content["ranking"]:
        assert row["name"] in page
    assert content["rule"] in page
    assert "Uncertainty" in page
    plans = json.loads((drawn.preprocessed / "MedTPlans.json").read_text())
    for decision in plans["medt"]["decisions"]:
        assert decision["reason"] in page
    assert "Training images 10" in page


def test_a_named_configuration_is_shown_instead_of_the_recipe(selected: tuple[Drawn, dict], tmp_path: Path) -> None:
    drawn, _ = selected
    page = words(report_data_set(DATASET_ID, drawn.workspace, "2d_unet", tmp_path / "page.html", quiet=True).file)
    assert "2d_unet, folds 0, 1, 2, 3, 4" in page
    assert "Ranking of configurations" in page


def test_a_trained_set_is_reported_with_its_curves(trained: Drawn, tmp_path: Path) -> None:
    written = report_data_set(DATASET_ID, trained.workspace, target=tmp_path / "page.html", quiet=True)
    page = words(written.file)
    assert "2d, folds 0, 1" in page
    assert "Numbers of 2d" in page
    elements = Elements(written.file.read_text(encoding="utf-8"))
    assert [one["alt"] for one in elements.all("img") if "epochs of folds 0, 1" in str(one["alt"])]


def test_nothing_names_the_machine(trained: Drawn, tmp_path: Path) -> None:
    file = report_data_set(DATASET_ID, trained.workspace, target=tmp_path / "page.html", quiet=True).file
    assert str(trained.root.parent) not in file.read_text(encoding="utf-8")


def test_images_that_are_gone_are_said_to_be(fresh: Workspace) -> None:
    for image in (fresh.raw / NAME / "imagesTr").iterdir():
        image.unlink()
    written = report_data_set(905, fresh, quiet=True)
    assert written.file == fresh.results / NAME / "medt_report.html"
    assert "No image of p0_0" in written.file.read_text(encoding="utf-8")


def test_what_is_missing_or_broken_is_named(fresh: Workspace) -> None:
    with pytest.raises(UserError, match="There is no data set 7"):
        report_data_set(7, fresh, quiet=True)
    with pytest.raises(UserError, match="'3d' has scored"):
        report_data_set(905, fresh, "3d", quiet=True)
    (fresh.preprocessed / NAME / "splits_final.json").write_text('[{"train": []}]')
    with pytest.raises(UserError, match=r"splits_final\.json does not hold folds"):
        report_data_set(905, fresh, quiet=True)
