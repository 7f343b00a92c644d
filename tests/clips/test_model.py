"""An ensemble opened for clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medt_pipeline.clips.model import open_clip_model
from medt_pipeline.core.errors import UserError
from medt_pipeline.inference.models import find_ensemble
from tests.clips.stand_in import clip_model, predicted
from tests.conftest import DATASET_ID, DATASET_NAME, MODEL, Drawn


def test_labels_and_key() -> None:
    model = clip_model({1: "lesion"})
    assert model.classes == 2
    assert model.labels_of(predicted(0, np.array([[0.2, 0.8]])).mean).tolist() == [[0, 1]]
    assert model.key == clip_model({1: "other"}).key


def test_a_trained_ensemble(trained: Drawn) -> None:
    model = open_clip_model(find_ensemble(trained.workspace, DATASET_ID, None), torch.device("cpu"), mirror=False)
    assert (dict(model.names), model.channels, model.recipe) == ({1: "gland"}, 3, None)


def test_labels_above_255_are_refused(trained: Drawn, tmp_path: Path) -> None:
    drawn = trained.copy(tmp_path / "workspace")
    file = drawn.workspace.results / DATASET_NAME / MODEL / "dataset.json"
    content = json.loads(file.read_text())
    content["labels"] = {"background": 0, **{f"c{value}": value for value in range(1, 257)}}
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="labels above 255"):
        open_clip_model(find_ensemble(drawn.workspace, DATASET_ID, None), torch.device("cpu"), mirror=False)
