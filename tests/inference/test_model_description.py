from __future__ import annotations

import json
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.inference.model_description import as_json, as_text
from medt_pipeline.inference.model_file import open_model_file
from tests.inference.model_files import remade


def test_a_screen_says_what_it_is_for_what_and_how_good(model_file: Path) -> None:
    file = open_model_file(model_file)
    text = as_text(file)
    assert len(text.splitlines()) < 25
    for words in (
        "drawn.medt: Dataset901_Drawn",
        "labels: background=0, gland=1",
        "licence: CC BY 4.0",
        "histology, channels R, G, B, coloured",
        "64 × 96 (10)",
        "trained on 10 images of 5 groups",
        "on 4 held-out images of 2 groups",
        "HybridMedT-M, folds 0, 1, 3.74 million parameters",
        "post-processing: none",
        f"SHA-256 {file.checksum}",
    ):
        assert words in text
    assert file.scores is not None
    assert f"Dice {file.scores['mean_dice']['value']:.3f} [" in text


def test_json_is_json(model_file: Path) -> None:
    content = json.loads(json.dumps(as_json(open_model_file(model_file)), allow_nan=False))
    assert content["networks"][0]["fold"] == "0"
    assert content["dataset"]["labels"] == {"background": 0, "gland": 1}
    assert set(content["files"]) >= {"plans.json", "weights/2d/fold_1.safetensors"}


def test_little_that_is_known_is_told_as_little(model_file: Path, tmp_path: Path) -> None:
    poor = {
        "training_data.json": lambda content: {"images": None, "description": {}},
        "scores.json": lambda content: {"score": None, "of": ""},
    }
    text = as_text(open_model_file(remade(model_file, tmp_path / "a.medt", poor)))
    assert "images of 3 channels (R, G, B); no more is known" in text
    assert "not known: no held-out cases were scored" in text


def test_facts_of_another_form_are_one_sentence_and_nothing_steers_the_terminal(
    model_file: Path, tmp_path: Path
) -> None:
    broken = {"training_data.json": lambda content: {**content, "description": {"modality": 1}}}
    with pytest.raises(UserError, match="not what medt_export writes"):
        as_text(open_model_file(remade(model_file, tmp_path / "a.medt", broken)))
    steering = {"LICENCE.txt": b"\x1b[2Jfree"}
    assert "\x1b" not in as_text(open_model_file(remade(model_file, tmp_path / "b.medt", steering)))
