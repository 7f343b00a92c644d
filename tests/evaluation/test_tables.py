import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medt_pipeline.core.spreadsheets import to_csv
from medt_pipeline.evaluation.folder import evaluate_folder
from medt_pipeline.evaluation.options import EvaluationOptions
from medt_pipeline.evaluation.scores import Scores
from medt_pipeline.evaluation.tables import to_frame, to_json, to_summary_frame, write_scores

LABELS = {"gland": 1, "tumour, benign": 2}


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(1)
    for folder in ("reference", "predictions"):
        (tmp_path / folder).mkdir()
        for index in range(5):
            label_map = rng.integers(0, 3, (6, 5)).astype(np.uint8) * (index != 2)
            Image.fromarray(label_map).save(tmp_path / folder / f"{index}.png")
    return tmp_path / "reference", tmp_path / "predictions"


@pytest.fixture
def scores(folders):
    options = EvaluationOptions(instances="components", published_size=4)
    return evaluate_folder(*folders, LABELS, options=options)


def test_csv_reads_back_as_the_frame(scores):
    frame = to_frame(scores)
    assert len(frame) == 10
    read = pd.read_csv(io.StringIO(to_csv(frame)), dtype={"image": str, "group": str})
    pd.testing.assert_frame_equal(read, frame, check_exact=True, check_dtype=False)


def test_frame_gives_the_same_means(scores):
    names = list(Scores._fields)
    means = to_frame(scores).groupby("label")[names].mean()
    for one in scores.classes:
        assert means.loc[one.label].tolist() == pytest.approx(tuple(one.mean), nan_ok=True)
    assert means.mean().tolist() == pytest.approx(tuple(scores.mean), nan_ok=True)


def test_summary_holds_every_score_with_its_interval_and_the_images_behind_it(scores):
    frame = to_summary_frame(scores).set_index(["label", "way", "score"])
    assert len(frame) == 3 * 2 * len(Scores._fields)
    gland = scores.classes[0]
    row = frame.loc[("gland", "mean", "hd95")]
    assert (row["value"], row["low"], row["high"]) == (
        gland.mean.hd95,
        gland.mean_interval.low.hd95,
        gland.mean_interval.high.hd95,
    )
    assert row[["images", "groups", "both", "neither", "false_alarms", "misses"]].tolist() == [4, 5, 4, 1, 0, 0]
    assert frame.loc[("gland", "pooled", "dice"), "images"] == 5
    over = frame.loc[("mean of classes", "pooled", "aji")]
    assert (over["value"], over["high"]) == (scores.pooled.aji, scores.over_classes.pooled_interval.high.aji)
    assert pd.isna(over["images"])


def test_json_holds_what_the_frame_holds(scores):
    content = json.loads(json.dumps(to_json(scores), allow_nan=False))
    frame = to_frame(scores).drop(columns="distance_unit")
    images = pd.DataFrame(content["images"]).astype(frame.dtypes.to_dict())
    pd.testing.assert_frame_equal(images, frame)
    gland = content["classes"]["gland"]
    assert gland["images_by_case"] == {"both": 4, "neither": 1, "false alarm": 0, "miss": 0}
    assert gland["images_in_mean"]["dice"] == 4
    assert gland["mean_interval"]["dice"] == [end.dice for end in scores.classes[0].mean_interval]
    assert gland["pooled_interval"]["hd95"] is None
    assert gland["published_protocol"]["images_without_true_positive_that_count_1"]["neither"] == 1
    assert content["mean_over_classes"]["mean"]["dice"] == scores.mean.dice


def test_only_what_was_asked_for_is_in_the_tables(folders):
    scores = evaluate_folder(*folders, LABELS, options=EvaluationOptions(surface=False))
    assert list(to_frame(scores)) == [
        *("image", "group", "label", "value", "case", "dice", "iou", "precision", "recall"),
        *("tp", "fp", "fn", "tn", "distance_unit"),
    ]
    assert set(to_summary_frame(scores)["score"]) == {"dice", "iou", "precision", "recall"}
    content = to_json(scores)["classes"]["gland"]
    assert set(content["mean"]) == {"dice", "iou", "precision", "recall"}
    assert "published_protocol" not in content


def test_one_class_has_no_mean_of_classes(folders):
    alone = evaluate_folder(*folders, {"gland": 1, "ignore": 2})
    assert set(to_summary_frame(alone)["label"]) == {"gland"}


def test_three_files_are_written(scores, tmp_path):
    files = write_scores(scores, tmp_path)
    assert [file.name for file in files] == ["medt_scores.csv", "medt_scores_summary.csv", "medt_scores.json"]
    assert all(file.stat().st_size for file in files)
