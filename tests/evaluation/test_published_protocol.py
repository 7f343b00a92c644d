import numpy as np
import pytest

from medt_pipeline.evaluation.metrics import Counts
from medt_pipeline.evaluation.published_protocol import count_published_pixels, published_f1, published_iou


def _reference_published(reference, prediction):
    """The loop of performancemetrics_glas.m over two pictures of 0 and 255."""
    tp = fp = fn = union = 0
    for truth, found in zip(reference.ravel(), prediction.ravel(), strict=True):
        if truth == 0 and found != truth:
            fp, union = fp + 1, union + 1
        elif truth == 255:
            tp, fn, union = tp + (found == truth), fn + (found != truth), union + 1
    return (2 * tp / (2 * tp + fp + fn), tp / union) if tp else (1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_the_published_loop(seed):
    rng = np.random.default_rng(seed)
    reference, prediction = rng.random((2, 16, 16)) < 0.2 * seed
    counts = count_published_pixels(reference.astype(int), prediction.astype(int), 1, size=16)
    expected = _reference_published(reference * 255, prediction * 255)
    assert (published_f1(counts), published_iou(counts)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "counts", [Counts(0, 0, 0, 9), Counts(0, 3, 0, 6), Counts(0, 0, 3, 6), Counts(0, 3, 3, 3)], ids=str
)
def test_no_true_positive_is_perfect(counts):
    assert published_f1(counts) == published_iou(counts) == 1.0


def test_masks_are_resized_by_the_nearest_pixel():
    reference = np.kron(np.array([[0, 1], [2, 1]]), np.ones((64, 96), int))
    prediction = np.kron(np.array([[0, 1], [1, 2]]), np.ones((64, 96), int))
    quarter = 8 * 8 // 4
    assert count_published_pixels(reference, prediction, 1, size=8) == Counts(quarter, quarter, quarter, quarter)


def test_a_thin_object_vanishes():
    line = np.zeros((512, 512), int)
    line[1] = 1
    assert count_published_pixels(line, line, 1, size=128) == Counts(0, 0, 0, 128 * 128)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        count_published_pixels(np.zeros((2, 3), int), np.zeros((3, 2), int), 1, 128)
