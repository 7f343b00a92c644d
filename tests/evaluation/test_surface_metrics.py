import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.metrics import HausdorffDistanceMetric, SurfaceDiceMetric, SurfaceDistanceMetric
from scipy import ndimage

from medt_pipeline.evaluation.surface_metrics import (
    SurfaceSums,
    average_surface_distance,
    hausdorff_95,
    outline,
    sum_surface,
    surface_dice,
    surface_distances,
)

from .shapes import EMPTY, PAIRS, blobs

pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's, about itself

SPACINGS = [(1.0, 1.0), (0.5, 0.5), (0.3, 1.7)]
MASKS = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(bool, shape)] * 2)
)


def _reference_monai(metric, reference, prediction, spacing):
    one, other = (torch.from_numpy(mask)[None, None].float() for mask in (prediction, reference))
    return float(metric(one, other, spacing=spacing))


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("masks", PAIRS.values(), ids=PAIRS)
def test_hd95_equals_monai(masks, spacing):
    expected = _reference_monai(HausdorffDistanceMetric(include_background=True, percentile=95), *masks, spacing)
    assert hausdorff_95(surface_distances(*masks, spacing)) == pytest.approx(
        expected, rel=1e-5
    )  # MONAI computes in single precision


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("masks", PAIRS.values(), ids=PAIRS)
def test_average_surface_distance_equals_monai(masks, spacing):
    expected = _reference_monai(SurfaceDistanceMetric(include_background=True, symmetric=True), *masks, spacing)
    sums = sum_surface(surface_distances(*masks, spacing), tolerance=1.0)
    assert average_surface_distance(sums) == pytest.approx(expected, rel=1e-5)  # MONAI computes in single precision


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("masks", PAIRS.values(), ids=PAIRS)
def test_surface_dice_equals_monai(masks, spacing, tolerance):
    expected = _reference_monai(SurfaceDiceMetric([tolerance], include_background=True), *masks, spacing)
    sums = sum_surface(surface_distances(*masks, spacing), tolerance)
    assert surface_dice(sums) == pytest.approx(expected, rel=1e-5)  # MONAI computes in single precision


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("masks", PAIRS.values(), ids=PAIRS)
def test_distances_equal_a_distance_transform(masks, spacing):
    reference, prediction = (mask & ~ndimage.binary_erosion(mask) for mask in masks)
    distances = surface_distances(*masks, spacing)
    to_prediction, to_reference = (
        ndimage.distance_transform_edt(~one, sampling=spacing) for one in (prediction, reference)
    )
    np.testing.assert_allclose(distances.of_reference, to_prediction[reference], rtol=1e-12)
    np.testing.assert_allclose(distances.of_prediction, to_reference[prediction], rtol=1e-12)


@given(masks=MASKS, spacing=st.sampled_from(SPACINGS))
@settings(max_examples=60)
def test_any_masks(masks, spacing):
    distances, swapped = surface_distances(*masks, spacing), surface_distances(*masks[::-1], spacing)
    sums = sum_surface(distances, tolerance=1.0)
    assert hausdorff_95(distances) == pytest.approx(hausdorff_95(swapped), nan_ok=True)
    assert sums == pytest.approx(sum_surface(swapped, tolerance=1.0))
    present = [bool(mask.any()) for mask in masks]
    assert math.isnan(hausdorff_95(distances)) == math.isnan(average_surface_distance(sums)) == (not all(present))
    assert math.isnan(surface_dice(sums)) == (not any(present))
    if all(present):
        assert average_surface_distance(sums) <= max(map(np.max, distances))
        assert 0 <= surface_dice(sums) <= 1


@pytest.mark.parametrize(
    ("masks", "expected"),
    [((EMPTY, EMPTY), math.nan), ((EMPTY, blobs(1)), 0.0), ((blobs(1), EMPTY), 0.0)],
    ids=["neither", "false_alarm", "miss"],
)
def test_empty_masks(masks, expected):
    distances = surface_distances(*masks)
    sums = sum_surface(distances, tolerance=1e9)
    assert math.isnan(hausdorff_95(distances))
    assert math.isnan(average_surface_distance(sums))
    assert surface_dice(sums) == pytest.approx(expected, nan_ok=True)
    assert sums == SurfaceSums(int(outline(masks[0]).sum() + outline(masks[1]).sum()), 0, 0, 0.0)


def test_worked_example_with_tall_pixels():
    reference, prediction = np.zeros((2, 9, 9), bool)
    reference[4, 2] = prediction[6, 2] = prediction[4, 6] = True
    distances = surface_distances(reference, prediction, spacing=(3.0, 1.0))
    assert distances.of_reference.tolist() == [4.0]
    assert distances.of_prediction.tolist() == [4.0, 6.0]
    sums = sum_surface(distances, tolerance=4.0)
    assert sums == SurfaceSums(outline=3, within=2, measured=3, distance=14.0)
    assert average_surface_distance(sums) == 14 / 3
    assert surface_dice(sums) == 2 / 3
    assert hausdorff_95(distances) == pytest.approx(4 + 0.95 * 2)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        surface_distances(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
