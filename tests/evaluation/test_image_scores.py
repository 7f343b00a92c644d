import numpy as np
import pytest

from medt_pipeline.evaluation.image_scores import ImagePair, Wanted, score_image
from medt_pipeline.evaluation.labels import make_labels
from medt_pipeline.evaluation.metrics import Counts
from medt_pipeline.evaluation.object_metrics import connected_objects, sum_objects
from medt_pipeline.evaluation.published_protocol import count_published_pixels
from medt_pipeline.evaluation.surface_metrics import hausdorff_95, sum_surface, surface_distances

from .shapes import blobs, drawn

LABELS = make_labels({"background": 0, "gland": 1, "tumour": 2}, "here")
TRUTH = blobs(1) + (blobs(1) & blobs(2)).astype(int)
FOUND = blobs(3) + (blobs(3) & blobs(2)).astype(int)


def test_every_class_is_scored_as_if_alone():
    pair = ImagePair("a", "p1", TRUTH, FOUND, spacing=(0.5, 2.0))
    rows = score_image(pair, LABELS, Wanted(tolerance=1.0, objects=True, published_size=16))
    assert [(row.image, row.group, row.label, row.case) for row in rows] == [
        ("a", "p1", "gland", "both"),
        ("a", "p1", "tumour", "both"),
    ]
    for row, value in zip(rows, (1, 2), strict=True):
        reference, prediction = (labels == value for labels in (TRUTH, FOUND))
        distances = surface_distances(reference, prediction, (0.5, 2.0))
        assert row.scores.hd95 == hausdorff_95(distances)
        assert row.surface == sum_surface(distances, 1.0)
        assert row.objects == sum_objects(connected_objects(reference), connected_objects(prediction), (0.5, 2.0))
        assert row.published == count_published_pixels(reference.astype(int), prediction.astype(int), 1, 16)


def test_given_objects_are_cut_to_the_class():
    reference = drawn((0, 10, 0, 10), (0, 10, 20, 30)) > 0
    numbers = np.full(reference.shape, 9)
    numbers[:, 5:] = 4
    pair = ImagePair("a", "a", reference.astype(int), reference.astype(int), reference_objects=numbers)
    gland, tumour = score_image(pair, LABELS, Wanted(objects=True))
    assert (gland.objects.reference_objects, gland.objects.predicted_objects) == (2, 2)
    assert (gland.objects.reference_area, gland.objects.predicted_area) == (200, 200)
    assert (tumour.objects.reference_objects, tumour.objects.predicted_objects) == (0, 0)


def test_ignored_pixels_are_in_no_score():
    labels = make_labels({"background": 0, "gland": 1, "ignore": 9}, "here")
    reference, prediction = drawn((5, 20, 5, 20)), drawn((5, 20, 5, 20), (30, 40, 0, 56)) > 0
    reference[25:] = 9
    (row,) = score_image(
        ImagePair("a", "a", reference, prediction.astype(int)), labels, Wanted(tolerance=0.0, objects=True)
    )
    assert row.counts == Counts(tp=225, fp=0, fn=0, tn=25 * 56 - 225)
    assert (row.scores.hd95, row.scores.surface_dice, row.scores.object_f1) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(tolerance=2.0, objects=True)], ids=["pixels", "everything"])
def test_arguments_are_left_alone(wanted):
    reference, prediction = TRUTH.copy(), FOUND.copy()
    score_image(ImagePair("a", "a", reference, prediction), LABELS, wanted)
    assert np.array_equal(reference, TRUTH)
    assert np.array_equal(prediction, FOUND)
