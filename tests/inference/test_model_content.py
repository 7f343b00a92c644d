"""What of a training goes into a model file, and what must not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.files import read_json
from medt_pipeline.inference.model_file import open_model_file
from tests.conftest import DATASET_NAME, MODEL, Drawn
from tests.inference.model_files import exported, members_of


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
