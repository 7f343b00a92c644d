"""That a run is trained and written down once; it says nothing of which variant is better."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.core.files import read_json
from tests.benchmarks import contest
from tests.conftest import DATASET_ID, Drawn


def test_scores_of_an_image_are_the_mean_of_its_defined_classes() -> None:
    rows = [
        {"image": "p1", "case": "both", "dice": 0.5, "iou": 0.4},
        {"image": "p1", "case": "both", "dice": 0.7, "iou": 0.6},
        {"image": "q1", "case": "neither", "dice": None, "iou": None},
        {"image": "r1", "case": "miss", "dice": 0.0, "iou": 0.0},
        {"image": "r1", "case": "false alarm", "dice": 0.0, "iou": 0.0},
    ]
    assert contest.image_scores({"images": rows}, {"p1": "p", "q1": "q", "r1": "r"}) == [
        {"image": "p1", "group": "p", "foreground": True, "dice": 0.6, "iou": 0.5},
        {"image": "q1", "group": "q", "foreground": False, "dice": None, "iou": None},
        {"image": "r1", "group": "r", "foreground": True, "dice": 0.0, "iou": 0.0},
    ]


def test_every_file_of_variants_can_be_planned() -> None:
    from medt_pipeline.planning.overrides import parse_overrides
    from medt_pipeline.planning.presets import load_preset

    for file in contest.VARIANTS.glob("*.json"):
        for settings in read_json(file).values():
            known = {"preset", "set", "configuration", "network", "augmentation", "stock"}
            assert set(settings) <= known or set(settings) == {"ensemble"}
            parse_overrides(settings.get("set", [])).applied_to(load_preset(settings.get("preset", "default")))


def test_budgets_tell_their_device_and_plan() -> None:
    assert contest.Budget(600, None, "cpu").words == "10 minutes of one core"
    assert contest.Budget(None, 300, "cpu").words == "300 steps"
    assert contest.Budget(None, 300, "cpu", "cuda").words == "300 steps on a GPU"
    assert contest.Budget(None, 300, "cpu", "cuda", "gpu").words == "300 steps on a GPU, planned for a GPU"


def test_some_variants_alone_can_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contest, "VARIANTS", tmp_path)
    monkeypatch.setattr(contest, "RESULTS", tmp_path)
    (tmp_path / "two.json").write_text(json.dumps({"unet": {}, "medt": {}}))
    images = [{"image": "p1", "group": "p", "foreground": True, "dice": 0.6, "iou": 0.5}]
    run = {"dataset": "D", "fold": 0, "seed": 1, "budget": "2 steps", "steps": 2, "images": images}
    lines = [json.dumps({**run, "variant": name}) for name in ("unet", "medt")]
    (tmp_path / "two.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr("sys.argv", ["contest", "two", "--only", "medt"])
    assert contest.main() == 0
    shown = capsys.readouterr().out
    assert "| medt |" in shown
    assert "| unet |" not in shown


@pytest.mark.slow
def test_a_run_is_written_down_and_not_run_again(
    converted: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contest, "VARIANTS", tmp_path)
    monkeypatch.setattr(contest, "RESULTS", tmp_path / "results")
    short = {"set": ["epochs=2", "iterations_per_epoch=1", "batch_size=2"]}
    settings = {
        "unet": {"configuration": "2d_unet", **short},
        "medt": {"set": ["architecture=MedT-S", *short["set"]]},
        "both": {"ensemble": ["unet", "medt"]},
    }
    (tmp_path / "small.json").write_text(json.dumps(settings))
    budget = contest.Budget(None, 2, "cpu")
    small = contest.Contest("small", converted.workspace.raw, tmp_path / "work", budget)
    run = contest.Run(DATASET_ID, "unet", 0, 1)
    small.plan(DATASET_ID, "unet")
    small.train(run)
    (result,) = small.results()
    assert (result["steps"], result["budget"], result["variant"]) == (2, "2 steps", "unet")
    assert len(result["images"]) == 2
    assert (result["train_images"], result["training"], len(result["curve"])) == (8, "all", 2)
    assert all(0 <= one["dice"] <= 1 for one in result["images"])
    small.run([run], jobs=1)
    assert len(list(small.results())) == 1

    # The other member is planned and trained with it.
    both = contest.Run(DATASET_ID, "both", 0, 1)
    small.plan(DATASET_ID, "both")
    small.train(both)
    _, ensemble = small.results()
    assert (ensemble["steps"], ensemble["train_images"], ensemble["curve"]) == (4, 8, [])
    assert [one["image"] for one in ensemble["images"]] == [one["image"] for one in result["images"]]
    masks = [_masks(tmp_path / "work", name) for name in ("unet", "medt", "both")]
    for case in masks[0]:
        mean = np.mean([_probabilities(tmp_path / "work", name, case) for name in ("unet", "medt")], axis=0)
        assert np.array_equal(masks[2][case], mean.argmax(0))


def _masks(work: Path, variant: str) -> dict[str, np.ndarray]:
    return {
        file.stem: np.asarray(Image.open(file))
        for file in (work / variant / "results_2_steps_seed1").rglob("*.png")
        if file.name != "progress.png"
    }


def _probabilities(work: Path, variant: str, case: str) -> np.ndarray:
    (file,) = (work / variant).rglob(f"{case}.npz")
    return np.load(file)["probabilities"][:, 0].astype(np.float32)
