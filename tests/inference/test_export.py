from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.core.images import read_image, read_mask
from medt_pipeline.inference.export import ExportOptions, write_nnunet_folder
from medt_pipeline.inference.model_file import open_model_file
from medt_pipeline.inference.models import find_ensemble, open_ensemble
from medt_pipeline.inference.packed_model import ensemble_in
from medt_pipeline.inference.predict import PredictionOptions, average_members, predict_images
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn
from tests.inference.model_files import exported, members_of

CPU = torch.device("cpu")
MODEL = "nnUNetTrainerMedT__MedTPlans__2d"


@pytest.fixture(scope="session")
def selected(trained: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """The trained data set with a recipe of both folds in two members, post-processing, quality and scores."""
    drawn = trained.copy(tmp_path_factory.mktemp("selected") / "workspace")
    members = [{"model": MODEL, "configuration": "2d", "folds": [1], "weight": 1.0}]
    steps = {"1": {"steps": [{"step": "remove_small_objects", "min_area_px": 30.0}], "splitting": None}}
    interval = {"value": 0.7, "low": 0.6, "high": 0.8}
    by_class = {"gland": {"dice": interval, "iou": interval}}
    recipe = {
        "format": 1,
        "members": members,
        "postprocessing": {"version": 1, "smoothing_px": 0.5, "classes": steps},
        "quality": {
            "slope": 0.5,
            "offset": 0.2,
            "correlation": float("nan"),
            "rank_correlation": 0.4,
            "error": 0.1,
            "images": 10,
        },
        "score": {"mean_dice": interval, "mean_iou": interval, "by_class": by_class, "images": 10, "groups": 5},
    }
    (drawn.workspace.results / DATASET_NAME / "inference.json").write_text(json.dumps(recipe))
    return drawn


def test_two_exports_give_the_same_bytes(trained: Drawn, model_file: Path, tmp_path: Path) -> None:
    again = exported(trained, tmp_path / "a.medt", ExportOptions("CC BY 4.0", np.zeros((4, 6, 3), np.uint8)))
    assert again.read_bytes() == model_file.read_bytes()


@pytest.mark.parametrize("with_recipe", [False, True])
def test_masks_are_those_of_the_workspace(
    trained: Drawn, selected: Drawn, tmp_path: Path, with_recipe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = selected if with_recipe else trained
    images = drawn.source / "test" / "images"
    options = PredictionOptions(quiet=True, save_probabilities=True)
    predict_images(images, tmp_path / "own", find_ensemble(drawn.workspace, DATASET_ID, None), CPU, options)
    file = open_model_file(exported(drawn, tmp_path / "a.medt"))
    assert file.selected == with_recipe
    monkeypatch.chdir(tmp_path)
    predict_images(images, tmp_path / "from_file", ensemble_in(file), CPU, options)
    for image in images.iterdir():
        own, other = (tmp_path / one / f"{image.stem}.png" for one in ("own", "from_file"))
        assert own.read_bytes() == other.read_bytes()
        own, other = (np.load(tmp_path / one / f"{image.stem}.npz")["probabilities"] for one in ("own", "from_file"))
        assert np.array_equal(own, other)
    for name in ("medt_quality.csv",):
        assert (tmp_path / "own" / name).exists() == (tmp_path / "from_file" / name).exists() == with_recipe
    assert json.loads((tmp_path / "from_file" / "medt_prediction.json").read_text())["model_file_sha256"] == (
        file.checksum
    )


def test_no_name_of_a_case_a_patient_or_a_path_is_in_it(trained: Drawn, selected: Drawn, tmp_path: Path) -> None:
    for number, drawn in enumerate((trained, selected)):
        file = exported(drawn, tmp_path / f"{number}.medt")
        fingerprint = read_json(drawn.preprocessed / "medt_fingerprint.json")
        cases, groups = list(fingerprint["cases"]), {one["group"] for one in fingerprint["cases"].values()}
        assert len(cases) == 10
        everything = b"\n".join(
            content for name, content in members_of(file).items() if not name.endswith(".safetensors")
        ).decode("utf-8", "ignore")
        for case in cases:
            assert case not in everything
        # the others are percentiles too
        for group in groups - {"p01", "p05"}:
            assert f'"{group}"' not in everything
        assert str(drawn.root) not in everything
        assert "/" not in json.loads(members_of(file)["manifest.json"])["networks"][0]["training"].get("device", "")


def test_lists_of_files_in_a_foreign_dataset_json_stay_behind(trained: Drawn, tmp_path: Path) -> None:
    drawn = trained.copy(tmp_path / "workspace")
    for folder in (drawn.workspace.results / DATASET_NAME / MODEL, drawn.preprocessed):
        content = json.loads((folder / "dataset.json").read_text())
        content |= {"training": ["./Smith_John.png"], "converted_by": "Smith", "description": "Mr Smith"}
        (folder / "dataset.json").write_text(json.dumps(content))
    everything = b"".join(members_of(exported(drawn, tmp_path / "a.medt")).values())
    assert b"Smith" not in everything


def test_without_a_fingerprint_and_scores_it_says_nothing_of_them(trained: Drawn, tmp_path: Path) -> None:
    drawn = trained.copy(tmp_path / "workspace")
    shutil.rmtree(drawn.preprocessed)
    for fold in (0, 1):
        shutil.rmtree(drawn.workspace.results / DATASET_NAME / MODEL / f"fold_{fold}" / "validation")
    file = open_model_file(exported(drawn, tmp_path / "a.medt"))
    assert file.training_images is None
    assert file.scores is None


def test_scores_of_folds_are_means_over_their_held_out_images(trained: Drawn, model_file: Path) -> None:
    rows = [
        row
        for fold in (0, 1)
        for row in read_json(
            trained.workspace.results / DATASET_NAME / MODEL / f"fold_{fold}" / "validation" / "medt_scores.json"
        )["images"]
    ]
    score = open_model_file(model_file).scores
    assert score is not None
    assert score["mean_dice"]["value"] == pytest.approx(np.mean([row["dice"] for row in rows]), abs=1e-6)
    assert score["mean_dice"]["low"] <= score["mean_dice"]["value"] <= score["mean_dice"]["high"]
    assert score["groups"] == len({row["group"] for row in rows}) == 2


@pytest.mark.parametrize("from_file", [False, True])
def test_stock_nnunet_opens_the_unpacked_folder(
    trained: Drawn, model_file: Path, tmp_path: Path, from_file: bool
) -> None:
    """nnU-Net's own predictor, without variables of its own and without our trainer."""
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    own = find_ensemble(trained.workspace, DATASET_ID, "2d")
    ensemble = ensemble_in(open_model_file(model_file)) if from_file else own
    (folder,) = write_nnunet_folder(ensemble, tmp_path / "stock")
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "fold_0", "fold_1", "plans.json"]
    assert list(tmp_path.iterdir()) == [tmp_path / "stock"]
    images = sorted((trained.source / "test" / "images").iterdir())
    for fold in (0, 1):
        predictor = nnUNetPredictor(device=CPU, allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(folder), (fold,), "checkpoint_final.pth")
        predict_images(
            images[0].parent, tmp_path / str(fold), find_ensemble(trained.workspace, DATASET_ID, "2d", (fold,)), CPU,
            PredictionOptions(quiet=True),
        )  # fmt: skip
        planes, properties = NaturalImage2DIO().read_images([str(images[0])])
        labels = predictor.predict_single_npy_array(planes, properties, None, None, False)
        assert np.array_equal(labels[0], read_mask(tmp_path / str(fold) / f"{images[0].stem}.png"))


def test_several_members_get_a_folder_each_and_nothing_is_overwritten(selected: Drawn, tmp_path: Path) -> None:
    from medt_pipeline.inference.models import Ensemble

    one = find_ensemble(selected.workspace, DATASET_ID, "2d", (0,)).models[0]
    folders = write_nnunet_folder(Ensemble((one, one), (0.5, 0.5)), tmp_path / "both")
    assert {folder.parent for folder in folders} == {tmp_path / "both"}
    with pytest.raises(UserError, match="not an empty folder"):
        write_nnunet_folder(Ensemble((one,), (1.0,)), tmp_path / "both")


def test_a_broken_checkpoint_leaves_no_file(trained: Drawn, tmp_path: Path) -> None:
    drawn = trained.copy(tmp_path / "workspace")
    (drawn.workspace.results / DATASET_NAME / MODEL / "fold_1" / "checkpoint_final.pth").write_bytes(b"broken")
    with pytest.raises(UserError, match="not a checkpoint of medt_train"):
        exported(drawn, tmp_path / "out" / "a.medt")
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(UserError, match="not a checkpoint of medt_train"):
        write_nnunet_folder(find_ensemble(drawn.workspace, DATASET_ID, "2d"), tmp_path / "out" / "stock")
    assert not list((tmp_path / "out").iterdir())


def test_networks_of_nnunet_with_shared_tensors_travel_too(planned: Drawn, tmp_path: Path) -> None:
    """A U-Net, whose tensors have several names and whose heads of deep supervision stay behind."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from medt_pipeline.inference.models import make_network

    plans = read_json(planned.preprocessed / "MedTPlans.json")
    dataset_json = read_json(planned.preprocessed / "dataset.json")
    folder = tmp_path / "w" / "results" / DATASET_NAME / "nnUNetTrainerMedT__MedTPlans__2d_unet"
    (folder / "fold_0").mkdir(parents=True)
    kwargs = plans["configurations"]["2d_unet"]["architecture"]["arch_kwargs"]
    kwargs["features_per_stage"] = [4] * len(kwargs["features_per_stage"])
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset_json))
    torch.manual_seed(0)
    network = make_network(PlansManager(plans), "2d_unet", dataset_json)
    checkpoint = {"network_weights": network.state_dict(), "inference_allowed_mirroring_axes": None}
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    drawn = Drawn(planned.source, tmp_path / "w")
    from medt_pipeline.inference.export import export_model

    own = find_ensemble(drawn.workspace, DATASET_ID, "2d_unet")
    export_model(own, drawn.workspace, tmp_path / "a.medt")
    packed = ensemble_in(open_model_file(tmp_path / "a.medt"))
    picture = read_image(next((planned.source / "test" / "images").iterdir())).transpose(2, 0, 1)[:, None]
    means = [
        average_members(open_ensemble(one, CPU, mirror=True), picture.astype(np.float32)).probabilities
        for one in (own, packed)
    ]
    assert np.array_equal(means[0], means[1])
    stored = open_model_file(tmp_path / "a.medt").networks[0]
    assert stored.mirror_axes is None
    assert stored.parameters == sum(one.numel() for one in network.parameters())
