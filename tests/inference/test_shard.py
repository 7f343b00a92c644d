"""A prediction in parts: interrupted and gone on with, behind URLs, and on a cluster, with the files of one go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from medt_pipeline.commands.predict import main
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image, write_png
from medt_pipeline.core.overlays import draw_overlay
from medt_pipeline.core.remote import place_of
from medt_pipeline.fingerprint.medt_fingerprint import read_fingerprint
from medt_pipeline.fingerprint.shift import training_images
from medt_pipeline.inference import shard
from medt_pipeline.inference.models import Ensemble, find_ensemble
from medt_pipeline.inference.predict import PredictionOptions, predict_images
from tests.conftest import DATASET_ID, Drawn

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ensemble(selected: Drawn) -> Ensemble:
    return find_ensemble(selected.workspace, DATASET_ID, None)


@pytest.fixture(scope="module")
def options(selected: Drawn) -> PredictionOptions:
    facts = training_images(read_fingerprint(selected.preprocessed).cases.values())
    return PredictionOptions(False, True, True, draw_overlay, facts, quiet=True)


@pytest.fixture(scope="module")
def images(selected: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures, and one that is none."""
    folder = tmp_path_factory.mktemp("images")
    picture = read_image(next((selected.source / "test" / "images").iterdir()))
    for index in range(4):
        write_png(folder / f"{index}.png", np.roll(picture, 9 * index, 1))
    (folder / "broken.png").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def in_one_go(
    ensemble: Ensemble, images: Path, options: PredictionOptions, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("masks")
    predict_images(images, folder, ensemble, CPU, options)
    return files_of(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    """By relative path the content of all files but locks; of the manifest what is not of the run."""
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    found = {name: file.read_bytes() for name, file in files.items() if not name.endswith(".lock")}
    manifest = json.loads(found["medt_prediction.json"])
    kept = {key: manifest[key] for key in ("models", "predicted", "unlike_training")} | {
        "failed": [*manifest["failed"]]
    }
    return found | {"medt_prediction.json": json.dumps(kept).encode()}


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of images as they are predicted; the third stops the command, once."""
    names: list[str] = []
    predict = shard._predict

    def counted(image: Path, *arguments: object) -> shard.CaseResult:
        names.append(image.name)
        if names == ["0.png", "1.png", "2.png"]:
            raise KeyboardInterrupt
        return predict(image, *arguments)

    monkeypatch.setattr(shard, "_predict", counted)
    return names


def test_what_was_finished_is_not_done_again(
    ensemble: Ensemble,
    images: Path,
    options: PredictionOptions,
    in_one_go: dict[str, bytes],
    predicted: list[str],
    tmp_path: Path,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict_images(images, tmp_path, ensemble, CPU, options)
    (tmp_path / "1.png").unlink()
    predict_images(images, tmp_path, ensemble, CPU, options)
    assert predicted[3:] == ["1.png", "2.png", "3.png", "broken.png"]
    assert files_of(tmp_path) == in_one_go


@pytest.mark.parametrize("change", ["options", "image"])
def test_what_was_finished_otherwise_is_done_again(
    ensemble: Ensemble, images: Path, options: PredictionOptions, predicted: list[str], tmp_path: Path, change: str
) -> None:
    own = tmp_path / "images"
    own.mkdir()
    for index in range(4):
        (own / f"{index}.png").write_bytes((images / f"{index}.png").read_bytes())
    with pytest.raises(KeyboardInterrupt):
        predict_images(own, tmp_path / "masks", ensemble, CPU, options)
    if change == "options":
        options = replace(options, uncertainty=False)
    else:
        write_png(own / "0.png", np.zeros((9, 9, 3), np.uint8))
    predict_images(own, tmp_path / "masks", ensemble, CPU, options)
    assert ("1.png" in predicted[3:]) == (change == "options")
    assert "0.png" in predicted[3:]


@pytest.fixture
def stored(images: Path) -> Iterator[str]:
    """The images in memory."""
    filesystem = fsspec.filesystem("memory")
    for file in images.iterdir():
        filesystem.pipe_file(f"/images/{file.name}", file.read_bytes())
    yield "memory://images"
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def test_behind_urls_the_files_are_the_same(
    ensemble: Ensemble,
    stored: str,
    options: PredictionOptions,
    in_one_go: dict[str, bytes],
    predicted: list[str],
    tmp_path: Path,
) -> None:
    source, target = place_of(stored), place_of("memory://masks")
    with pytest.raises(KeyboardInterrupt):
        predict_images(source, target, ensemble, CPU, options)
    summary = predict_images(source, target, ensemble, CPU, options)
    assert predicted[3:] == ["2.png", "3.png", "broken.png"]
    assert [str(mask) for mask in summary.masks][:1] == ["memory://masks/0.png"]
    assert "memory://images/broken.png" in summary.failed["broken.png"]
    fsspec.filesystem("memory").get("/masks/", str(tmp_path / "masks"), recursive=True)
    assert files_of(tmp_path / "masks") == in_one_go


def test_masks_among_images_are_refused(ensemble: Ensemble, stored: str, options: PredictionOptions) -> None:
    for url in (stored, f"{stored}/0.png"):
        with pytest.raises(UserError, match="among the images in memory://images"):
            predict_images(place_of(url), place_of(stored), ensemble, CPU, options)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-i", "nothing://a", "-o", "b"], "nothing://a cannot be opened"),
        (["-i", "memory://gone", "-o", "b"], "memory://gone cannot be listed"),
        (["-i", "{images}", "-o", "b", "--on", "slurm"], "--on takes ray"),
        (["-i", "{slide}", "-o", "b", "--on", "ray"], "--on and URLs are for pictures"),
        (["-i", "{slide}", "-o", "memory://b"], "--on and URLs are for pictures"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "a.svs").write_bytes(b"")
    given = [one.format(images=images, slide=tmp_path / "a.svs") for one in arguments]
    assert main(given) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: {sentence}")
    assert "\n" not in error


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As many as a task gets of a machine of two cores: sums over other numbers of threads round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster", "two_threads")
def test_on_a_cluster_the_files_are_the_same(
    ensemble: Ensemble, images: Path, options: PredictionOptions, tmp_path: Path
) -> None:
    predict_images(images, tmp_path / "here", ensemble, CPU, options)
    predict_images(images, place_of((tmp_path / "there").as_uri()), ensemble, CPU, options, on="ray")
    here, there = files_of(tmp_path / "here"), files_of(tmp_path / "there")
    assert [name for name in here | there if here.get(name) != there.get(name)] == []
