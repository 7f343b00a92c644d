from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_mask
from medt_pipeline.inference.find_best import find_best
from medt_pipeline.inference.models import find_ensemble
from medt_pipeline.inference.predict import PredictionOptions, predict_images
from medt_pipeline.inference.recipe import read_recipe
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn

NOTHING = {"version": 1, "smoothing_px": 0, "classes": {}}
MODEL = "nnUNetTrainerMedT__MedTPlans__{}"


def pretend(drawn: Drawn, configuration: str, wrong: float, seconds: float, side: int) -> None:
    """Write what cross-validation leaves, with a share `wrong` of the pixels on one side of each image turned over."""
    model = drawn.workspace.results / DATASET_NAME / MODEL.format(configuration)
    for fold, split in enumerate(json.loads((drawn.preprocessed / "splits_final.json").read_text())):
        validation = model / f"fold_{fold}" / "validation"
        validation.mkdir(parents=True, exist_ok=True)
        for number, case in enumerate(split["val"]):
            labels = read_mask(drawn.preprocessed / "gt_segmentations" / f"{case}.png")
            rng = np.random.default_rng([fold, number, side])
            half = np.zeros(labels.shape, bool)
            half[:, side * 48 : side * 48 + 48] = True
            turned = (rng.uniform(size=labels.shape) < wrong) & half
            p = np.where((labels == 1) ^ turned, 0.9, 0.1)
            p[turned] = np.where(labels[turned] == 1, 0.45, 0.55)
            np.savez_compressed(
                validation / f"{case}.npz", probabilities=np.stack([1 - p, p])[:, None].astype(np.float16)
            )
        rows = [{"image": case} for case in split["val"]]
        (validation / "medt_scores.json").write_text(json.dumps({"images": rows}))
        (model / f"fold_{fold}" / "medt_run.json").write_text(json.dumps({"seconds_per_image": seconds}))


@pytest.fixture
def pretended(planned: Drawn, tmp_path: Path) -> Drawn:
    """Two models, each wrong on another side, so that their average is right; and one that is not complete."""
    drawn = planned.copy(tmp_path / "workspace", "results")
    pretend(drawn, "2d", 0.2, 1.0, 0)
    pretend(drawn, "2d_unet", 0.2, 2.0, 1)
    pretend(drawn, "2d_logo", 0.0, 1.0, 1)
    shutil.rmtree(drawn.workspace.results / DATASET_NAME / MODEL.format("2d_logo") / "fold_3")
    return drawn


def test_an_ensemble_of_models_that_err_elsewhere_wins(pretended: Drawn) -> None:
    best = find_best(DATASET_ID, pretended.workspace.activate(), quiet=True)
    assert best.chosen.candidate.name == "2d + 2d_unet"
    assert best.left_out == ("2d_logo lacks fold 3",)
    content = json.loads(best.file.read_text())
    assert content["score"]["mean_dice"]["value"] == pytest.approx(1, abs=0.001)
    assert content["ranking"][0]["name"] == "2d + 2d_unet"
    assert content["ranking"][1]["behind_best"]["low"] > 0
    assert content["ranking"][0]["seconds_per_image"] == 3
    recipe = read_recipe(best.file.parent)
    assert [one.configuration for one in recipe.members] == ["2d", "2d_unet"]
    assert recipe.members[0].folds == (0, 1, 2, 3, 4)


def test_masks_uncertainty_and_quality_of_held_out_cases_are_kept(pretended: Drawn) -> None:
    shutil.rmtree(pretended.workspace.results / DATASET_NAME / MODEL.format("2d_unet"))
    best = find_best(DATASET_ID, pretended.workspace.activate(), quiet=True)
    folder = best.file.parent / "out_of_fold"
    scores = json.loads((folder / "medt_scores.json").read_text())
    assert scores["mean_over_classes"]["mean"]["dice"] == pytest.approx(best.content["score"]["mean_dice"]["value"])
    case = scores["images"][0]["image"]
    uncertainty = read_mask(folder / "uncertainty" / f"{case}.png")
    assert uncertainty[:, :48].mean() > uncertainty[:, 48:].mean()
    quality = pd.read_csv(folder / "medt_quality.csv")
    assert len(quality) == 10
    assert quality["true_dice"].mean() == pytest.approx(best.content["score"]["mean_dice"]["value"], abs=1e-3)


def test_running_it_again_gives_the_same_but_for_the_time(pretended: Drawn) -> None:
    contents = [find_best(DATASET_ID, pretended.workspace.activate(), quiet=True).content for _ in range(2)]
    for content in contents:
        del content["environment"]
    assert contents[0] == contents[1]


def test_broken_and_missing_probabilities_are_named(pretended: Drawn) -> None:
    workspace = pretended.workspace.activate()
    file = next((workspace.results / DATASET_NAME / MODEL.format("2d")).glob("fold_1/validation/*.npz"))
    file.write_bytes(b"broken")
    with pytest.raises(UserError, match=f"{file.name} cannot be read .* run medt_train … cv again"):
        find_best(DATASET_ID, workspace, quiet=True)
    for model in (workspace.results / DATASET_NAME).glob("nnUNetTrainer*"):
        shutil.rmtree(model / "fold_1")
    with pytest.raises(
        UserError, match="No configuration of .* has all 5 folds .*2d lacks fold 1.* run medt_train 901 cv"
    ):
        find_best(DATASET_ID, workspace, quiet=True)


def test_prediction_follows_the_recipe(trained: Drawn, tmp_path: Path) -> None:
    drawn = trained.copy(tmp_path / "workspace")
    results = drawn.workspace.results / DATASET_NAME
    model = MODEL.format("2d")
    members = [
        {"model": model, "configuration": "2d", "folds": [fold], "weight": w} for fold, w in ((0, 0.25), (1, 0.75))
    ]
    quality = {"slope": 0.5, "offset": 0.2, "correlation": 0.5, "rank_correlation": 0.5, "error": 0.1, "images": 10}
    recipe = {"format": 1, "members": members, "postprocessing": NOTHING, "quality": quality}
    (results / "inference.json").write_text(json.dumps(recipe))
    images = drawn.source / "test" / "images"
    options = PredictionOptions(quiet=True, save_probabilities=True, uncertainty=True)
    cpu = torch.device("cpu")
    alone = []
    for fold in (0, 1):
        ensemble = find_ensemble(drawn.workspace, None, None, (fold,))
        assert ensemble.recipe is None
        predict_images(images, tmp_path / str(fold), ensemble, cpu, options)
    ensemble = find_ensemble(drawn.workspace, None, None)
    assert ensemble.recipe is not None
    predict_images(images, tmp_path / "both", ensemble, cpu, options)
    for image in images.iterdir():
        alone = [np.load(tmp_path / str(fold) / f"{image.stem}.npz")["probabilities"].astype(float) for fold in (0, 1)]
        both = np.load(tmp_path / "both" / f"{image.stem}.npz")["probabilities"]
        assert np.abs(0.25 * alone[0] + 0.75 * alone[1] - both).max() < 2e-3
        assert read_mask(tmp_path / "both" / "disagreement" / f"{image.stem}.png").shape == both.shape[2:]
        assert read_mask(tmp_path / "0" / "disagreement" / f"{image.stem}.png").max() == 0
        assert read_mask(tmp_path / "both" / "uncertainty" / f"{image.stem}.png").max() > 0
    estimated = pd.read_csv(tmp_path / "both" / "medt_quality.csv")
    assert len(estimated) == len(list(images.iterdir()))
    assert not (tmp_path / "0" / "medt_quality.csv").exists()
    record = json.loads((tmp_path / "both" / "medt_prediction.json").read_text())
    assert record["by_recipe"]
    assert [one["weight"] for one in record["models"]] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"format": 2}, "is not a recipe of format 1"),
        ({"format": 1, "members": [], "postprocessing": NOTHING, "quality": None}, "names no model"),
        (
            {
                "format": 1,
                "members": [{"model": "../x", "configuration": "2d", "folds": [0], "weight": 1}],
                "postprocessing": NOTHING,
                "quality": None,
            },
            "outside",
        ),
        ({"format": 1, "members": [{"model": "x"}], "quality": None}, "is not a recipe .KeyError"),
        ([], "is not a recipe"),
    ],
)
def test_a_foreign_recipe_is_refused(tmp_path: Path, content: object, sentence: str) -> None:
    (tmp_path / "inference.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=sentence):
        read_recipe(tmp_path)
