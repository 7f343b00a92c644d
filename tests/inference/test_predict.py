from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image, read_mask, write_png
from medt_pipeline.inference.inputs import list_inputs, read_input
from medt_pipeline.inference.models import find_model
from medt_pipeline.inference.predict import PredictionOptions, predict_images
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn

CPU = torch.device("cpu")
QUIET = PredictionOptions(quiet=True, save_probabilities=True)


def stock_predictor(drawn: Drawn, folds: tuple[int, ...]):
    """nnU-Net's own predictor, opened as `nnUNetv2_predict` opens it: trainer found by name, checkpoints by folder."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    drawn.workspace.activate()
    predictor = nnUNetPredictor(device=CPU, allow_tqdm=False)
    folder = drawn.workspace.results / DATASET_NAME / "nnUNetTrainerMedT__MedTPlans__2d"
    predictor.initialize_from_trained_model_folder(str(folder), folds, "checkpoint_final.pth")
    return predictor


def stock_prediction(drawn: Drawn, image: Path, folds: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (H, W) and probabilities (classes, H, W) of stock nnU-Net for one PNG."""
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    planes, properties = NaturalImage2DIO().read_images([str(image)])
    predictor = stock_predictor(drawn, folds)
    labels, probabilities = predictor.predict_single_npy_array(planes, properties, None, None, True)
    return labels[0], probabilities[:, 0]


@pytest.mark.parametrize("fold", [0, 1])
def test_masks_of_one_fold_equal_stock_nnunets(trained: Drawn, tmp_path: Path, fold: int) -> None:
    model = find_model(trained.workspace, DATASET_ID, "2d", (fold,))
    images = trained.source / "test" / "images"
    predict_images(images, tmp_path / "masks", model, CPU, QUIET)
    for image in sorted(images.iterdir()):
        labels, _ = stock_prediction(trained, image, (fold,))
        assert np.array_equal(read_mask(tmp_path / "masks" / f"{image.stem}.png"), labels)


def test_masks_of_several_folds_equal_nnunets_ensemble_of_them(trained: Drawn, tmp_path: Path) -> None:
    """Probabilities are averaged as `nnUNetv2_ensemble` does, not logits as `nnUNetv2_predict` does between folds."""
    model = find_model(trained.workspace, DATASET_ID, "2d")
    assert model.folds == (0, 1)
    images = trained.source / "test" / "images"
    predict_images(images, tmp_path / "masks", model, CPU, QUIET)
    differing = 0
    for image in sorted(images.iterdir()):
        members = [stock_prediction(trained, image, (fold,))[1] for fold in (0, 1)]
        mean = (members[0].astype(np.float32) + members[1]) / 2
        mask = read_mask(tmp_path / "masks" / f"{image.stem}.png")
        assert np.array_equal(mask, mean.argmax(0))
        saved = np.load(tmp_path / "masks" / f"{image.stem}.npz")["probabilities"]
        assert np.abs(saved[:, 0].astype(np.float32) - mean).max() < 1e-3
        # Where the mean of the logits says otherwise, the members disagree.
        by_logits, _ = stock_prediction(trained, image, (0, 1))
        elsewhere = by_logits != mask
        assert (members[0].argmax(0) != members[1].argmax(0))[elsewhere].all()
        differing += int(elsewhere.sum())
    assert differing < 0.05 * 64 * 96 * len(list(images.iterdir()))


def test_any_name_and_format_and_the_images_own_size(trained: Drawn, tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    picture = read_image(next((trained.source / "test" / "images").iterdir()))
    Image.fromarray(picture).resize((150, 71)).save(source / "photo of a phone.jpg")
    Image.fromarray(picture[:40, :33]).save(source / "tiny.bmp")
    Image.fromarray(picture).convert("L").save(source / "gray.tif")
    Image.fromarray(picture).convert("RGBA").save(source / "opaque.png")
    model = find_model(trained.workspace, None, "2d", (0,))
    options = PredictionOptions(quiet=True, mirror=False, draw_overlay=lambda image, mask: image[..., :3] * 0)
    summary = predict_images(source, tmp_path / "masks", model, CPU, options)
    assert not summary.failed
    sizes = {path.name: read_mask(path).shape for path in summary.masks}
    assert sizes == {
        "photo of a phone.png": (71, 150),
        "tiny.png": (40, 33),
        "gray.png": (64, 96),
        "opaque.png": (64, 96),
    }
    record = json.loads((tmp_path / "masks" / "medt_prediction.json").read_text())
    assert record["models"] == [{"configuration": "2d", "folds": [0], "weight": 1.0}]
    assert record["mirroring"] is False
    assert len(list((tmp_path / "masks" / "overlays").iterdir())) == 4


def test_one_bad_image_does_not_stop_the_others(trained: Drawn, tmp_path: Path) -> None:
    source = tmp_path / "images"
    shutil.copytree(trained.source / "test" / "images", source)
    (source / "broken.png").write_bytes(b"no image")
    model = find_model(trained.workspace, None, "2d", (0,))
    summary = predict_images(source, tmp_path / "masks", model, CPU, PredictionOptions(quiet=True, mirror=False))
    assert list(summary.failed) == ["broken.png"]
    assert len(summary.masks) == len(list(source.iterdir())) - 1
    assert not (tmp_path / "masks" / "broken.png").exists()


def test_gray_and_colour_meet_the_model(tmp_path: Path) -> None:
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_png(tmp_path / "gray.png", gray)
    write_png(tmp_path / "same.png", np.repeat(gray[..., None], 3, axis=2))
    write_png(tmp_path / "colour.png", np.stack([gray, gray, gray + 1], axis=2))
    assert (read_input(tmp_path / "gray.png", 3)[1] == gray).all()
    assert read_input(tmp_path / "same.png", 1)[1].shape == (1, 1, 3, 4)
    with pytest.raises(UserError, match="colour image, but the model was trained on gray"):
        read_input(tmp_path / "colour.png", 1)
    with pytest.raises(UserError, match="3 channels, but the model was trained on 4"):
        read_input(tmp_path / "colour.png", 4)


def test_names_of_medical_files(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    assert list_inputs(tmp_path) == list_inputs(tmp_path / "a.nii.gz") == [tmp_path / "a.nii.gz"]
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match=r"would both get the mask a\.png"):
        list_inputs(tmp_path)


def test_inputs_are_checked_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        list_inputs(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no images that can be read .*no files"):
        list_inputs(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"but: \.txt"):
        list_inputs(tmp_path)
    with pytest.raises(UserError, match=r"notes\.txt does not end in"):
        list_inputs(tmp_path / "notes.txt")
    write_png(tmp_path / "a.png", np.zeros((3, 3), np.uint8))
    Image.new("RGB", (3, 3)).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg and a\.png would both get the mask a\.png"):
        list_inputs(tmp_path)


def test_masks_are_not_written_among_the_images(trained: Drawn) -> None:
    model = find_model(trained.workspace, None, "2d")
    images = trained.source / "test" / "images"
    with pytest.raises(UserError, match="among the images"):
        predict_images(images, images, model, CPU, QUIET)


def test_models_are_found_or_the_choice_is_shown(trained: Drawn, tmp_path: Path) -> None:
    assert find_model(trained.workspace, None, "2d").dataset_name == DATASET_NAME
    with pytest.raises(UserError, match="Fold 3 .* is not trained; trained are: 0, 1"):
        find_model(trained.workspace, None, "2d", (3,))
    with pytest.raises(UserError, match="configuration '2d_unet' .* trained are: 2d"):
        find_model(trained.workspace, None, "2d_unet")
    copy = trained.copy(tmp_path / "two")
    results = copy.workspace.results
    shutil.copytree(results / DATASET_NAME, results / "Dataset902_Other")
    with pytest.raises(UserError, match="Several data sets are trained: Dataset901_Drawn, Dataset902_Other; .*-d"):
        find_model(copy.workspace, None, "2d")
    assert find_model(copy.workspace, 902, "2d").dataset_name == "Dataset902_Other"
    shutil.rmtree(results)
    with pytest.raises(UserError, match="Nothing is trained yet"):
        find_model(copy.workspace, None, "2d")
