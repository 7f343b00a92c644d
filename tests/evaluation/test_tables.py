import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medt_pipeline.evaluation.folder import evaluate_folder
from medt_pipeline.evaluation.tables import to_csv, to_frame, to_json, to_text


@pytest.fixture
def scores(tmp_path):
    rng = np.random.default_rng(1)
    for folder in ("reference", "predictions"):
        (tmp_path / folder).mkdir()
        for index in range(5):
            label_map = rng.integers(0, 3, (6, 5)).astype(np.uint8) * (index != 2)
            Image.fromarray(label_map).save(tmp_path / folder / f"{index}.png")
    return evaluate_folder(tmp_path / "reference", tmp_path / "predictions", {"gland": 1, "tumour, benign": 2})


def test_csv_reads_back_as_the_frame(scores):
    frame = to_frame(scores)
    assert len(frame) == 10
    read = pd.read_csv(io.StringIO(to_csv(scores)), dtype={"image": str})
    pd.testing.assert_frame_equal(read, frame, check_exact=True)


def test_frame_gives_the_same_means(scores):
    means = to_frame(scores).groupby("label")[["dice", "iou", "precision", "recall"]].mean()
    for one in scores.classes:
        assert means.loc[one.label].tolist() == pytest.approx(one.mean)
    assert means.mean().tolist() == pytest.approx(scores.mean)


def test_json_holds_what_the_frame_holds(scores):
    content = json.loads(json.dumps(to_json(scores), allow_nan=False))
    images = pd.DataFrame(content["images"]).astype({"dice": float, "iou": float, "precision": float, "recall": float})
    pd.testing.assert_frame_equal(images, to_frame(scores).drop(columns="value"))
    assert content["classes"]["gland"]["images_by_case"] == {"both": 4, "neither": 1, "false alarm": 0, "miss": 0}


def test_columns_of_the_text_are_aligned(scores):
    lines = to_text(scores).splitlines()
    start = next(index for index, line in enumerate(lines) if "in neither" in line)
    table = lines[start : start + 4]
    assert [line.split("  ")[0].strip() for line in table[1:]] == ["gland", "tumour, benign", "mean of classes"]
    assert table[0].index("Dice") + 4 == table[1].index("0.") + 6
    assert len({len(line) for line in table[:3]}) == 1
    assert f"{scores.classes[0].mean.dice:.4f}" in table[1]
    assert "nan" not in to_text(scores).lower()


def test_one_class_has_no_mean_of_classes(tmp_path, scores):
    alone = evaluate_folder(scores.reference, scores.predictions, {"gland": 1, "ignore": 2})
    assert "mean of classes" not in to_text(alone)
