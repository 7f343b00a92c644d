import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.metrics.panoptic_quality import compute_panoptic_quality
from skimage.measure import label
from skimage.metrics import hausdorff_distance

from medt_pipeline.evaluation.object_metrics import (
    ObjectSums,
    aji,
    aji_plus,
    connected_objects,
    detection_quality,
    object_dice,
    object_f1,
    object_hausdorff,
    panoptic_quality,
    segmentation_quality,
    sum_objects,
)

from .shapes import EMPTY, PAIRS, blobs, drawn

INSTANCES = {name: (label(one), label(other)) for name, (one, other) in PAIRS.items() if name != "noise"}
INSTANCES["noise"] = tuple(label(blobs(seed, 0.0, 0.5, (20, 24))) for seed in (7, 8))
SMALL_MAPS = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 1, 2, 5, 250]))] * 2)
)
NONE = EMPTY.astype(int)


def _objects(instances):
    return [instances == number for number in np.unique(instances[instances > 0])]


def _dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def _iou(one, other):
    return (one & other).sum() / (one | other).sum()


def _most_overlapping(one, others):
    overlaps = [(one & other).sum() for other in others]
    return others[int(np.argmax(overlaps))] if max(overlaps, default=0) else None


def _reference_f1(reference, prediction):
    """Word by word from the contest's page, "at least" read as "more than"."""
    references, predictions = _objects(reference), _objects(prediction)
    true_positive = 0
    for one in predictions:
        truth = _most_overlapping(one, references)
        true_positive += truth is not None and (one & truth).sum() / truth.sum() > 0.5
    false_positive, false_negative = len(predictions) - true_positive, len(references) - true_positive
    if not true_positive:
        return 0.0
    precision = true_positive / (true_positive + false_positive)
    recall = true_positive / (true_positive + false_negative)
    return 2 * precision * recall / (precision + recall)


def _reference_object_dice(reference, prediction):
    references, predictions = _objects(reference), _objects(prediction)
    halves = []
    for own, others in ((references, predictions), (predictions, references)):
        partners = [_most_overlapping(one, others) for one in own]
        scores = [0.0 if other is None else _dice(one, other) for one, other in zip(own, partners, strict=True)]
        halves.append(np.average(scores, weights=[one.sum() for one in own]))
    return np.mean(halves)


def _reference_object_hausdorff(reference, prediction):
    references, predictions = _objects(reference), _objects(prediction)
    halves = []
    for own, others in ((references, predictions), (predictions, references)):
        distances = []
        for one in own:
            partner = _most_overlapping(one, others)
            candidates = others if partner is None else [partner]
            distances.append(min(hausdorff_distance(one, other) for other in candidates))
        halves.append(np.average(distances, weights=[one.sum() for one in own]))
    return np.mean(halves)


def _reference_aji(reference, prediction):
    """Kumar et al., algorithm 1."""
    references, predictions = _objects(reference), _objects(prediction)
    used, intersection, union = set(), 0, 0
    for one in references:
        scores = [_iou(one, other) for other in predictions]
        best = int(np.argmax(scores)) if max(scores, default=0) else None
        if best is None:
            union += one.sum()
            continue
        intersection += (one & predictions[best]).sum()
        union += (one | predictions[best]).sum()
        used.add(best)
    return intersection / (union + sum(one.sum() for index, one in enumerate(predictions) if index not in used))


def _best_assignments(reference, prediction):
    """AJI of every one-to-one assignment whose sum of IoU is largest, by trying all of them."""
    references, predictions = _objects(reference), _objects(prediction)
    swap = len(references) > len(predictions)
    few, many = (predictions, references) if swap else (references, predictions)
    found = []
    for chosen in itertools.permutations(range(len(many)), len(few)):
        pairs = [(one, many[index]) for one, index in zip(few, chosen, strict=True) if (one & many[index]).any()]
        intersection = sum((one & other).sum() for one, other in pairs)
        everything = sum(one.sum() for one in (*few, *many))
        found.append((sum(_iou(*pair) for pair in pairs), intersection / (everything - intersection)))
    best = max(total for total, _ in found)
    return {round(score, 9) for total, score in found if total > best - 1e-12}


def _reference_monai(name, reference, prediction):
    one, other = (torch.from_numpy(instances.astype(np.int32)) for instances in (prediction, reference))
    return float(compute_panoptic_quality(one, other, metric_name=name, smooth_numerator=0.0))


@pytest.mark.parametrize(
    ("score", "reference_score"),
    [
        (object_f1, _reference_f1),
        (object_dice, _reference_object_dice),
        (object_hausdorff, _reference_object_hausdorff),
        (aji, _reference_aji),
    ],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("instances", INSTANCES.values(), ids=INSTANCES)
def test_scores_equal_the_definition(score, reference_score, instances):
    assert score(sum_objects(*instances)) == pytest.approx(reference_score(*instances))


@pytest.mark.parametrize("instances", INSTANCES.values(), ids=INSTANCES)
def test_panoptic_quality_equals_monai(instances):
    sums = sum_objects(*instances)
    assert detection_quality(sums) == pytest.approx(_reference_monai("rq", *instances), rel=1e-6)
    assert panoptic_quality(sums) == pytest.approx(_reference_monai("pq", *instances), rel=1e-6)
    expected = _reference_monai("sq", *instances)
    assert segmentation_quality(sums) == pytest.approx(expected, rel=1e-6, nan_ok=True)


@given(instances=SMALL_MAPS)
@settings(max_examples=80)
def test_any_instance_maps(instances):
    sums = sum_objects(*instances)
    present = [bool(one.any()) for one in instances]
    always = [object_f1(sums), object_dice(sums), aji(sums), aji_plus(sums), panoptic_quality(sums)]
    if not any(present):
        assert all(map(math.isnan, always))
        return
    if not all(present):
        assert always == [0.0] * len(always)
        assert math.isnan(object_hausdorff(sums))
        return
    assert object_f1(sums) == pytest.approx(_reference_f1(*instances))
    assert object_dice(sums) == pytest.approx(_reference_object_dice(*instances))
    assert object_hausdorff(sums) == pytest.approx(_reference_object_hausdorff(*instances))
    assert aji(sums) == pytest.approx(_reference_aji(*instances))
    assert round(aji_plus(sums), 9) in _best_assignments(*instances)
    assert panoptic_quality(sums) == pytest.approx(_reference_monai("pq", *instances), rel=1e-5)


def test_worked_example():
    # One object cut in two (the larger part is 6 of 10 columns), one merged with another, one missed, one false alarm.
    reference = drawn((0, 10, 0, 10), (0, 10, 20, 30), (0, 10, 30, 40), (20, 30, 0, 5))
    prediction = drawn((0, 10, 0, 6), (0, 10, 6, 10), (0, 10, 20, 40), (30, 35, 40, 50))
    sums = sum_objects(reference, prediction)
    # TP: the part with 60 %; the merged one covers all of object 2, its partner on a tie. FP: other part and alarm.
    assert sums.found == 2
    assert object_f1(sums) == 2 * 2 / (4 + 4)
    # Reference: areas 100, 100, 100, 50 with Dice 120/160, 200/300, 200/300, 0.
    # Prediction: areas 60, 40, 200, 50 with Dice 120/160, 80/140, 200/300, 0.
    of_reference = (100 * 0.75 + 2 * 100 * 2 / 3) / 350
    of_prediction = (60 * 0.75 + 40 * 4 / 7 + 200 * 2 / 3) / 350
    assert object_dice(sums) == pytest.approx((of_reference + of_prediction) / 2)
    # The missed object is nearest to the left part by Hausdorff distance: from (0, 5) of that to (20, 4). The false
    # alarm is nearest to object 3: from (0, 30) of that to (30, 40).
    missed, alarm = math.hypot(20, 1), math.hypot(30, 10)
    of_reference = (100 * 4 + 100 * 10 + 100 * 10 + 50 * missed) / 350
    of_prediction = (60 * 4 + 40 * 6 + 200 * 10 + 50 * alarm) / 350
    assert object_hausdorff(sums) == pytest.approx((of_reference + of_prediction) / 2)
    # AJI counts the merged one twice: intersections 60 + 100 + 100, unions 100 + 200 + 200 + 50, unused 40 + 50.
    assert aji(sums) == pytest.approx(260 / 640)
    # AJI+ gives it to one: intersections 60 + 100, unions 100 + 200, alone 100 + 50 and 40 + 50.
    assert aji_plus(sums) == pytest.approx(160 / 540)
    # IoU 0.6, and 0.5 for the merged one, which is not above a half.
    assert (sums.matched, sums.matched_iou) == (1, pytest.approx(0.6))
    assert detection_quality(sums) == 2 / 8
    assert segmentation_quality(sums) == pytest.approx(0.6)
    assert panoptic_quality(sums) == pytest.approx(0.6 * 2 / 8)


def test_half_an_object_is_not_found():
    reference, halves = drawn((0, 10, 0, 10)), drawn((0, 10, 0, 5), (0, 10, 5, 10))
    assert sum_objects(reference, halves).found == 0
    halves[0, 5] = 1
    assert sum_objects(reference, halves).found == 1


def test_pixel_size_scales_distances_alone():
    instances = INSTANCES["blobs"]
    plain, scaled = sum_objects(*instances), sum_objects(*instances, spacing=(0.25, 0.25))
    assert object_hausdorff(scaled) == pytest.approx(0.25 * object_hausdorff(plain))
    assert scaled._replace(reference_hausdorff=0, predicted_hausdorff=0) == plain._replace(
        reference_hausdorff=0, predicted_hausdorff=0
    )
    reference, prediction = drawn((0, 4, 0, 4)), drawn((0, 6, 0, 7))
    assert object_hausdorff(sum_objects(reference, prediction, spacing=(10.0, 1.0))) == pytest.approx(math.hypot(20, 3))


def test_without_distances():
    instances = INSTANCES["blobs"]
    sums = sum_objects(*instances, distances=False)
    assert math.isnan(object_hausdorff(sums))
    assert object_dice(sums) == object_dice(sum_objects(*instances))


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [(NONE, NONE, math.nan), (NONE, INSTANCES["blobs"][1], 0.0), (INSTANCES["blobs"][0], NONE, 0.0)],
    ids=["neither", "false_alarm", "miss"],
)
def test_empty_maps(reference, prediction, expected):
    sums = sum_objects(reference, prediction)
    for score in (object_f1, object_dice, aji, aji_plus, detection_quality, panoptic_quality):
        assert score(sums) == pytest.approx(expected, nan_ok=True)
    assert math.isnan(object_hausdorff(sums))
    assert math.isnan(segmentation_quality(sums))


def test_scores_of_arrays_are_the_scores_of_each_entry():
    rows = [sum_objects(*instances) for instances in [*INSTANCES.values(), (NONE, NONE), (NONE, drawn((0, 3, 0, 3)))]]
    columns = ObjectSums(*np.array(rows, float).T)
    for score in (object_f1, object_dice, object_hausdorff, aji, aji_plus, segmentation_quality, panoptic_quality):
        np.testing.assert_allclose(score(columns), [score(row) for row in rows])


def test_objects_touch_at_corners():
    mask = np.eye(4, dtype=bool)
    assert connected_objects(mask).max() == 1
    mask[0, 3] = True
    assert connected_objects(mask).max() == 2
    assert not connected_objects(EMPTY).any()


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        sum_objects(np.zeros((2, 3), int), np.zeros((3, 2), int))
