import json

import numpy as np
import pytest
import SimpleITK
from nnunetv2.evaluation.evaluate_predictions import compute_metrics
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from PIL import Image

from medt_pipeline.core.cases import Case, write_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.folder import evaluate_folder
from medt_pipeline.evaluation.metrics import Counts
from medt_pipeline.evaluation.options import EvaluationOptions, Tolerance
from medt_pipeline.evaluation.tables import to_json

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
    assert gland.mean[:4] == pytest.approx((2 / 9, 1 / 6, 1 / 2, 1 / 4))
    assert gland.images[:7] == (3, 3, 2, 2, 1, 1, 3)
    # The outlines are 2 and 1 pixels in a, 1 in c, 4 in d; in a the farthest is one pixel away.
    assert gland.mean[4:7] == pytest.approx((1 - 0.05, 1 / 3, 1 / 3))
    assert gland.counts == Counts(tp=1, fp=1, fn=5, tn=9)
    assert gland.pooled[:4] == pytest.approx((2 / 8, 1 / 7, 1 / 2, 1 / 6))
    assert gland.pooled[4:7] == pytest.approx((NAN, 1 / 3, 3 / 8), nan_ok=True)
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
    assert scores.mean[:4] == (1.0, 1.0, 1.0, 1.0)


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


def test_patients_sizes_and_instances_lie_beside_the_labels(folders):
    reference, predictions = folders
    instances = reference.parent / "instancesTs"
    instances.mkdir()
    label_map = np.zeros((8, 12), np.uint8)
    label_map[2:6, 2:10] = 1
    numbers = label_map * 7
    numbers[:, 6:] *= 2
    names = ("a1", "a2", "b1")
    write(reference, **dict.fromkeys(names, label_map))
    write(predictions, **dict.fromkeys(names, label_map))
    write(instances, **dict.fromkeys(names, numbers))
    write_cases(reference.parent, {name: Case(name[0], f"{name}.png", None, (500.0, 250.0)) for name in names})
    scores = evaluate_folder(reference, predictions, {"gland": 1})
    assert (scores.setting.groups, scores.setting.unit) == (2, "mm")
    assert scores.setting.objects == f"instance maps in {instances} against 8-connected components of the prediction"
    assert {row.group for row in scores.images} == {"a", "b"}
    # One component covers both halves: it is one of the two objects, with Dice 2/3, and 4 columns of 0.25 mm too far.
    row = scores.images[0]
    assert (row.objects.reference_objects, row.objects.predicted_objects, row.objects.found) == (2, 1, 1)
    assert row.scores.object_f1 == pytest.approx(2 / 3)
    assert row.scores.object_dice == pytest.approx(2 / 3)
    assert row.scores.object_hausdorff == pytest.approx(1.0)
    assert row.scores.aji == pytest.approx((16 + 16) / (32 + 32))
    (predictions / "instances").mkdir()
    write(predictions / "instances", **dict.fromkeys(names, numbers))
    assert evaluate_folder(reference, predictions, {"gland": 1}).mean.object_f1 == 1.0


def test_negative_object_numbers_are_refused(folders, tmp_path):
    reference, predictions = folders
    write(reference, a=[[0, 1]])
    write(predictions, a=[[0, 1]])
    (tmp_path / "maps").mkdir()
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.array([[0, -1]], np.int16)), str(tmp_path / "maps" / "a.mha"))
    with pytest.raises(UserError, match=r"a\.mha holds negative numbers"):
        evaluate_folder(reference, predictions, options=EvaluationOptions(instances=tmp_path / "maps"))


def test_distances_follow_the_size_of_a_pixel(folders):
    reference, predictions = folders
    line, lower = np.zeros((2, 12, 12), np.uint8)
    line[2], lower[5] = 1, 1
    write(reference, a=line)
    write(predictions, a=lower)
    options = EvaluationOptions(pixel_size_mm=(0.5, 0.1), tolerance=Tolerance(1.5, "mm"))
    scores = evaluate_folder(reference, predictions, {"gland": 1}, options=options)
    assert scores.setting.unit == "mm"
    assert (scores.mean.hd95, scores.mean.assd, scores.mean.surface_dice) == pytest.approx((1.5, 1.5, 1.0))
    scores = evaluate_folder(reference, predictions, {"gland": 1})
    assert scores.setting.unit == "px"
    assert (scores.mean.hd95, scores.mean.assd, scores.mean.surface_dice) == pytest.approx((3.0, 3.0, 0.0))


def test_number_of_threads_changes_nothing(folders):
    reference, predictions = folders
    rng = np.random.default_rng(0)
    for index in range(7):
        write(reference, **{f"case{index}": rng.integers(0, 3, (20, 20))})
        write(predictions, **{f"case{index}": rng.integers(0, 3, (20, 20))})
    labels = {"one": 1, "two": 2}
    first, second = (
        evaluate_folder(
            reference, predictions, labels, options=EvaluationOptions(instances="components", threads=threads)
        )
        for threads in (1, 4)
    )
    assert to_json(first) == to_json(second)


def test_what_is_not_asked_for_is_not_scored(folders):
    reference, predictions = folders
    write(reference, a=[[0, 1]])
    write(predictions, a=[[1, 1]])
    scores = evaluate_folder(reference, predictions, options=EvaluationOptions(surface=False))
    assert scores.setting.scores == ("dice", "iou", "precision", "recall")
    assert (scores.images[0].surface, scores.images[0].objects, scores.images[0].published) == (None, None, None)
    assert np.isnan(scores.mean[4:]).all()


def test_intervals_are_over_patients(folders):
    """Three alike images of each patient: as wide as with one image of each, and wider than with nine patients."""
    reference, predictions = folders
    for patient, columns in enumerate((2, 5, 9)):
        for image in range(3):
            truth, found = np.ones((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
            found[:, :columns] = 1
            write(reference, **{f"p{patient}_{image}": truth})
            write(predictions, **{f"p{patient}_{image}": found})
    names = [f"p{patient}_{image}" for patient in range(3) for image in range(3)]

    def interval(groups, only=None):
        options = EvaluationOptions(groups=groups)
        (one,) = evaluate_folder(reference, predictions, {"gland": 1}, only=only, options=options).classes
        return one.mean_interval.low.recall, one.mean_interval.high.recall

    patients = interval({name: name[:2] for name in names})
    assert patients == pytest.approx(interval(dict(zip(names, names, strict=True)), only=names[::3]))
    assert patients == pytest.approx((0.2, 0.9))
    alone = interval(dict(zip(names, names, strict=True)))
    assert patients[0] < alone[0] < alone[1] < patients[1]
