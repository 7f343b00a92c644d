from __future__ import annotations

import json
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.prediction_record import images_of, model_of, read_prediction_record


def test_the_model_in_words() -> None:
    models = [{"configuration": "2d", "folds": [0, 1]}, {"configuration": "2d_unet", "folds": ["all"]}]
    record = {"data_set": "Dataset101_GlaS", "models": models, "by_recipe": True, "model_file_sha256": "a" * 64}
    expected = "Dataset101_GlaS, recipe of 2d (folds 0, 1) + 2d_unet (folds all), model file aaaaaaaaaaaa"
    assert model_of(record) == expected
    assert model_of({"data_set": "Dataset101_GlaS", "models": models[:1]}) == "Dataset101_GlaS, 2d (folds 0, 1)"
    assert model_of({}) == model_of({"models": "?", "by_recipe": True}) == ""


def test_images_and_broken_records(tmp_path: Path) -> None:
    assert read_prediction_record(tmp_path) == {}
    with pytest.raises(UserError, match="not known; say so with --images"):
        images_of(tmp_path, {})
    with pytest.raises(UserError, match="which does not exist"):
        images_of(tmp_path, {"images": str(tmp_path / "gone")})
    assert images_of(tmp_path, {"images": str(tmp_path)}) == tmp_path
    (tmp_path / "medt_prediction.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="not a record of medt_predict"):
        read_prediction_record(tmp_path)
