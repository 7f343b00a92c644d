import json

import numpy as np
import pytest
import SimpleITK
from nnunetv2.evaluation.evaluate_predictions import compute_metrics
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.folder import evaluate_folder
from medt_pipeline.evaluation.metrics import Counts

NAN = float("nan")


@pytest.fixture
def folders(tmp_path):
    reference, predictions = tmp_path / "raw" / "labelsTs", tmp_path / "predicted"
    reference.mkdir(parents=True)
    predictions.mkdir()
    return reference, predictions


def write(folder, **label_maps):
    for name, label_map in label_maps.items():
        Image.fromarray(np.array(label_map, np.uint8)).save(folder / f"{name}.png")


def test_worked_example_with_every_empty_case(folders):
    reference, predictions = folders
    write(reference, a=[[1, 1, 0, 0]], b=[[0, 0, 0, 0]], c=[[0, 0, 0, 0]], d=[[1, 1, 1, 1]])
    write(predictions, a=[[1, 0, 0, 0]], b=[[0, 0, 0, 0]], c=[[1, 0, 0, 0]], d=[[0, 0, 0, 0]])
    scores = evaluate_folder(reference, predictions, {"gland": 1})
    assert [(row.image, row.case) for row in scores.images] == [
        ("a", "both"),
        ("b", "neither"),
        ("c", "false alarm"),
        ("d", "miss"),
    ]
    (gland,) = scores.classes
    assert gland.cases == {"both": 1, "neither": 1, "false alarm": 1, "miss": 1}
    # Dice 2/3, –, 0, 0; IoU 1/2, –, 0, 0; precision 1, –, 0, –; recall 1/2, –, –, 0
    assert gland.mean == pytest.approx((2 / 9, 1 / 6, 1 / 2, 1 / 4))
    assert gland.counts == Counts(tp=1, fp=1, fn=5, tn=9)
    assert gland.pooled == pytest.approx((2 / 8, 1 / 7, 1 / 2, 1 / 6))
    assert (scores.mean, scores.pooled) == (gland.mean, gland.pooled)


def test_mean_over_classes_leaves_out_a_class_that_never_occurs(folders):
    reference, predictions = folders
    write(reference, a=[[1, 1, 2, 0]])
    write(predictions, a=[[1, 1, 0, 2]])
    scores = evaluate_folder(reference, predictions, {"gland": 1, "tumour": 2, "rare": 3})
    assert [one.mean.dice for one in scores.classes] == pytest.approx([1.0, 0.0, NAN], nan_ok=True)
    assert scores.mean.dice == 0.5


def test_agrees_with_nnunet(folders):
    reference, predictions = folders
    rng = np.random.default_rng(3)
    names = [f"case{index}" for index in range(6)]
    for index, name in enumerate(names):
        write(reference, **{name: rng.integers(0, 2 + index % 3, (9, 7))})
        write(predictions, **{name: rng.integers(0, 1 + index % 4, (9, 7))})
    scores = evaluate_folder(reference, predictions, {"one": 1, "two": 2, "three": 3})
    assert {row.case for row in scores.images} == {"both", "neither", "false alarm", "miss"}
    for row in scores.images:
        files = [str(folder / f"{row.image}.png") for folder in (reference, predictions)]
        value = scores.labels.foreground[row.label]
        expected = compute_metrics(*files, NaturalImage2DIO(), [value])["metrics"][value]
        assert (row.scores.dice, row.scores.iou) == pytest.approx((expected["Dice"], expected["IoU"]), nan_ok=True)
        assert row.counts == tuple(expected[name] for name in ("TP", "FP", "FN", "TN"))


def test_ignored_pixels_agree_with_nnunet(folders):
    reference, predictions = folders
    write(reference, a=[[1, 1, 2, 2, 0]])
    write(predictions, a=[[1, 0, 1, 0, 1]])
    (row,) = evaluate_folder(reference, predictions, {"gland": 1, "ignore": 2}).images
    files = [str(folder / "a.png") for folder in (reference, predictions)]
    expected = compute_metrics(*files, NaturalImage2DIO(), [1], ignore_label=2)["metrics"][1]
    assert row.counts == tuple(expected[name] for name in ("TP", "FP", "FN", "TN")) == (1, 1, 1, 0)


def test_endings_may_differ(folders):
    reference, predictions = folders
    label_map = np.array([[0, 1, 1], [2, 2, 0]], np.uint8)
    write(reference, a=label_map)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(label_map[None]), str(predictions / "a.nii.gz"))
    scores = evaluate_folder(reference, predictions)
    assert scores.labels.foreground == {"1": 1, "2": 2}
    assert scores.mean == (1.0, 1.0, 1.0, 1.0)


def test_labels_come_from_dataset_json_above_the_reference(folders):
    reference, predictions = folders
    (reference.parent / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "gland": 1}}))
    write(reference, a=[[0, 1]])
    write(predictions, a=[[0, 1]])
    assert [one.label for one in evaluate_folder(reference, predictions).classes] == ["gland"]
    write(reference, a=[[0, 255]])
    with pytest.raises(UserError, match=r"a\.png holds the values 255.*dataset\.json declares background=0, gland=1"):
        evaluate_folder(reference, predictions)


def test_undeclared_values_in_a_prediction_are_refused(folders):
    reference, predictions = folders
    write(reference, a=[[0, 1]])
    write(predictions, a=[[3, 1]])
    with pytest.raises(UserError, match=r"predicted/a\.png holds the values 3"):
        evaluate_folder(reference, predictions, {"gland": 1})


def test_sizes_must_agree(folders):
    reference, predictions = folders
    write(reference, a=[[0, 1]])
    write(predictions, a=[[0], [1]])
    with pytest.raises(UserError, match=r"labelsTs/a\.png has 1 × 2 pixels but .*predicted/a\.png has 2 × 1"):
        evaluate_folder(reference, predictions, {"gland": 1})


def test_references_without_prediction_are_refused_or_listed(folders):
    reference, predictions = folders
    write(reference, a=[[0, 1]], b=[[0, 1]], c=[[0, 1]])
    write(predictions, b=[[0, 1]], x=[[0, 1]])
    with pytest.raises(UserError, match=r"2 of 3 references have no prediction .*\(a, c\).*--allow-missing"):
        evaluate_folder(reference, predictions, {"gland": 1})
    scores = evaluate_folder(reference, predictions, {"gland": 1}, allow_missing=True)
    assert scores.image_names == ["b"]
    assert scores.missing == ("a", "c")
    assert scores.without_reference == ("x",)


@pytest.mark.parametrize("allow_missing", [False, True])
def test_names_that_never_match_are_refused(folders, allow_missing):
    reference, predictions = folders
    write(reference, a_anno=[[0, 1]])
    write(predictions, a=[[0, 1]])
    with pytest.raises(UserError, match="a_anno against a"):
        evaluate_folder(reference, predictions, {"gland": 1}, allow_missing=allow_missing)


def test_a_folder_is_not_scored_against_itself(folders):
    reference, _ = folders
    write(reference, a=[[0, 1]])
    with pytest.raises(UserError, match="against itself"):
        evaluate_folder(reference, reference.parent / "labelsTs" / ".." / "labelsTs")
