"""The Python interface."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import medt_pipeline
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image, read_mask, write_png
from medt_pipeline.inference.model import Model
from medt_pipeline.inference.model_file import open_model_file
from medt_pipeline.inference.packed_model import ensemble_in
from medt_pipeline.inference.predict import PredictionOptions, predict_images
from tests.conftest import DATASET_NAME, MODEL, Drawn


@pytest.fixture(scope="module")
def model(model_file: Path) -> Model:
    return medt_pipeline.load(model_file, device="cpu", mirror=False)


@pytest.fixture(scope="module")
def pictures(trained: Drawn) -> list[Path]:
    return sorted((trained.source / "test" / "images").iterdir())


def test_importing_the_package_stays_light() -> None:
    script = "import sys, medt_pipeline; assert not {'torch', 'numpy', 'nnunetv2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_masks_are_those_of_medt_predict(model_file: Path, model: Model, pictures: list[Path], tmp_path: Path) -> None:
    ensemble, cpu = ensemble_in(open_model_file(model_file)), torch.device("cpu")
    predict_images(pictures[0].parent, tmp_path, ensemble, cpu, PredictionOptions(mirror=False, quiet=True))
    assert model.labels == {"background": 0, "gland": 1}
    for path in pictures:
        assert np.array_equal(model.predict(path), read_mask(tmp_path / f"{path.stem}.png"))


def test_paths_arrays_and_images_of_pillow_give_the_same(model: Model, pictures: list[Path]) -> None:
    array = read_image(pictures[0])
    expected = model.predict(array)
    assert isinstance(expected, np.ndarray)
    assert (expected.shape, expected.dtype) == ((64, 96), np.uint8)
    opaque = np.dstack([array, np.full(array.shape[:2], 255, np.uint8)])
    for same in (str(pictures[0]), pictures[0], Image.fromarray(array), array.astype(np.float64), opaque):
        assert np.array_equal(model.predict(same), expected)
    gray = array[..., 0]
    as_colour = model.predict(np.repeat(gray[..., None], 3, axis=2))
    for same in (gray, gray[..., None], Image.fromarray(gray)):
        assert np.array_equal(model.predict(same), as_colour)


def test_lists_and_stacks_come_back_as_given_at_their_own_sizes(model: Model, pictures: list[Path]) -> None:
    array = read_image(pictures[0])
    sizes = [(64, 96), (40, 33), (64, 96), (100, 130), (64, 96)]
    images = [np.asarray(Image.fromarray(array).resize((width, height))) for height, width in sizes]
    masks, probabilities = model.predict(images, probabilities=True, batch_size=2)
    assert isinstance(masks, list)
    assert [mask.shape for mask in masks] == sizes
    assert [one.shape for one in probabilities] == [(2, *size) for size in sizes]
    for image, mask, one in zip(images, masks, probabilities, strict=True):
        # several images in one call of the network: the same but for the order of sums
        alone = model.predict(image, probabilities=True)[1]
        assert np.abs(alone - one).max() < 2e-3
        assert np.allclose(one.sum(0), 1, atol=1e-3)
        assert np.array_equal(one.argmax(0), mask)
    stack = np.stack([images[0], images[2]])
    stacked = model.predict(stack)
    assert isinstance(stacked, np.ndarray)
    assert stacked.shape == (2, 64, 96)
    assert model.predict(stack[..., 0]).shape == (2, 64, 96)
    assert model.predict([]) == []


def test_images_of_one_size_share_the_calls_of_the_network(
    model: Model, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cases: list[int] = []
    for predictor in model._members[0].predictors:
        predictor.network.register_forward_hook(lambda network, x, y: cases.append(len(x[0])))
    image = read_image(pictures[0])
    model.predict([image] * 5, batch_size=3)
    # two folds, one tile an image
    assert cases == [3, 3, 2, 2]
    cases.clear()
    # three tiles along the longer side
    model.predict([np.tile(image, (1, 2, 1))] * 2)
    assert cases == [2] * 6


def test_two_threads_give_what_one_gives(model: Model, pictures: list[Path]) -> None:
    images = [np.roll(read_image(pictures[0]), 7 * number, axis=1) for number in range(6)]
    expected = [model.predict(image, probabilities=True) for image in images]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda image: model.predict(image, probabilities=True), images))
    for (mask, probabilities), (other, others) in zip(expected, found, strict=True):
        assert np.array_equal(mask, other)
        assert np.array_equal(probabilities, others)


def test_results_of_a_workspace_and_post_processing(
    trained: Drawn, selected: Drawn, pictures: list[Path], model: Model
) -> None:
    results = selected.workspace.results / DATASET_NAME
    with_recipe = medt_pipeline.load(results, device="cpu", mirror=False)
    assert "folds 1" in with_recipe.name
    mask = with_recipe.predict(pictures[0])
    image = read_image(pictures[0])
    # probabilities are those before the smoothing of the recipe
    assert not np.array_equal(with_recipe.predict(image, probabilities=True)[1].argmax(0), mask)
    folder = trained.workspace.results / DATASET_NAME
    for source in (folder, folder / MODEL):
        assert np.array_equal(
            medt_pipeline.load(source, device="cpu", mirror=False).predict(image), model.predict(image)
        )


def test_what_cannot_be_predicted_is_one_sentence(model: Model, tmp_path: Path) -> None:
    colour = np.zeros((20, 30, 3), np.uint8)
    for wrong, sentence in (
        (tmp_path / "nowhere.png", "nowhere.png is missing"),
        (np.zeros((2, 3, 4, 5, 6)), "picture 0 is no picture"),
        (np.zeros((0, 3)), "is no picture"),
        (np.array([["a"]]), "is no picture"),
        (np.ones((4, 4), bool), "is no picture"),
        (np.full((4, 4), np.nan), "no real numbers"),
        (colour / 255 + 0.5, "fractions up to 0.5, but .* multiply by 255"),
        (colour.astype(int) - 1, "values from -1 to -1"),
        (np.full((4, 4), 1000, np.uint16), "values from 1000 to 1000"),
        (np.dstack([colour, colour[..., 0]]), "alpha channel that hides pixels"),
        ([colour, np.zeros((4, 4, 2, 2))], "picture 1 is no picture"),
    ):
        with pytest.raises(UserError, match=sentence):
            model.predict(wrong)


def test_what_cannot_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        medt_pipeline.load(tmp_path / "nowhere.medt")
    with pytest.raises(UserError, match="holds no trained model"):
        medt_pipeline.load(tmp_path)


def test_a_gray_file_serves_a_model_of_colours(model: Model, tmp_path: Path) -> None:
    write_png(tmp_path / "gray.png", np.zeros((64, 96), np.uint8))
    assert model.predict(tmp_path / "gray.png").shape == (64, 96)
    assert model.channels == 3
