from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.core.images import read_image, read_mask
from medt_pipeline.inference.average import average_members
from medt_pipeline.inference.export import ExportOptions, write_nnunet_folder
from medt_pipeline.inference.model_file import open_model_file
from medt_pipeline.inference.models import find_ensemble, open_ensemble
from medt_pipeline.inference.packed_model import ensemble_in
from medt_pipeline.inference.predict import PredictionOptions, predict_images
from tests.conftest import DATASET_ID, DATASET_NAME, MODEL, Drawn
from tests.inference.model_files import exported

CPU = torch.device("cpu")


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
