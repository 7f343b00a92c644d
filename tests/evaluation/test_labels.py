import json

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.labels import MOST_FOUND_VALUES, declared_labels, found_labels, make_labels


def write_dataset_json(folder, labels):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")


def test_background_and_ignore_are_no_classes_and_values_are_sorted():
    labels = make_labels({"background": 0, "ignore": 3, "tumour": 2, "gland": 1}, "here")
    assert list(labels.foreground.items()) == [("gland", 1), ("tumour", 2)]
    assert labels.ignore == 3
    assert labels.unknown([0, 1, 3, 9, 4, 9]) == [4, 9]
    assert str(labels) == "background=0, gland=1, tumour=2, ignore=3"


@pytest.mark.parametrize(
    "declared",
    [None, {}, [1], {"0": "background"}, {"whole": [1, 2]}, {"a": 1, "b": 1}, {"background": 0}, {"a": -1}],
    ids=["none", "empty", "list", "version_1", "regions", "shared_value", "background_only", "negative"],
)
def test_unusable_tables_are_refused(declared):
    with pytest.raises(UserError, match=r"dataset\.json"):
        make_labels(declared, "dataset.json")


def test_nearest_dataset_json_wins(tmp_path):
    reference, predictions = tmp_path / "raw" / "labelsTr", tmp_path / "predicted"
    assert declared_labels(reference, predictions) is None
    for folder, name in ((reference.parent, "above"), (reference, "beside"), (predictions, "predicted")):
        write_dataset_json(folder, {"background": 0, name: 1})
        labels = declared_labels(reference, predictions)
        assert labels is not None
        assert labels.foreground == {name: 1}
        assert labels.source == str(folder / "dataset.json")


def test_found_values_are_classes():
    assert found_labels({0, 2}, {0, 1, 2}).foreground == {"1": 1, "2": 2}
    assert found_labels({0}, {0, 7}).foreground == {"7": 7}


@pytest.mark.parametrize(
    ("reference", "predictions", "message"),
    [
        ({0, 255}, {0, 1}, "values 255 but the predictions 1"),
        ({0}, {0}, "All masks are empty"),
        (set(range(MOST_FOUND_VALUES + 2)), {0, 1}, "too many"),
    ],
    ids=["disjoint", "empty", "gray_values"],
)
def test_values_that_cannot_be_classes_are_refused(reference, predictions, message):
    with pytest.raises(UserError, match=message):
        found_labels(reference, predictions)
