from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.planning.rules.modality import Modality
from medt_pipeline.planning.rules.resolution import (
    SMALLEST_DIAMETER,
    ObjectSize,
    Resolution,
    choose_antialiasing,
    choose_resolution,
    choose_whole_resolution,
    chosen_resolution,
    fixed_resolution,
)

NUCLEI = ObjectSize("nucleus", 19.0, 24.0)
GLANDS = ObjectSize("gland", 70.0, 123.0)


def test_glas_is_seen_whole_on_a_cpu() -> None:
    resolution = choose_resolution((522, 775), 24576, 6.0).value
    assert resolution.patch_size == (128, 192)
    assert resolution.reduction == pytest.approx(522 / 128)


@given(st.integers(16, 5000), st.integers(16, 5000), st.sampled_from([4096, 24576, 262144]))
def test_patches_fit_the_budget_and_show_the_whole_image_where_they_can(height: int, width: int, budget: int) -> None:
    resolution = choose_resolution((height, width), budget, 6.0).value
    rows, columns = resolution.patch_size
    assert rows % 32 == columns % 32 == 0
    assert resolution.reduction >= 1
    # Rounding adds at most half a step to each side, and no side is below one step.
    assert rows * columns <= (budget**0.5 + 16) ** 2 * 1.5 + 32 * max(rows, columns)
    if 1 < resolution.reduction < 6:
        assert height / resolution.reduction <= rows + 1e-6
        assert width / resolution.reduction <= columns + 1e-6


def test_small_images_keep_their_resolution_and_huge_ones_are_cut() -> None:
    assert choose_resolution((100, 120), 24576, 6.0).value.reduction == 1
    huge = choose_resolution((6000, 4000), 24576, 6.0)
    assert huge.value.reduction == 6
    assert "of each side" in huge.reason


def test_small_objects_keep_the_resolution_high() -> None:
    decision = choose_resolution((1000, 1000), 24576, 6.0, NUCLEI)
    assert decision.value.reduction == pytest.approx(19 / SMALLEST_DIAMETER)
    assert not decision.value.whole
    assert decision.value.patch_size == (160, 160)
    assert "a quarter of nucleus would be under 12 pixels" in decision.reason


def test_large_objects_do_not_matter() -> None:
    with_objects, without = (choose_resolution((522, 775), 24576, 6.0, objects) for objects in (GLANDS, None))
    assert with_objects.value == without.value
    assert "quarter" not in with_objects.reason


def test_objects_smaller_than_wanted_at_full_resolution_are_not_enlarged() -> None:
    assert choose_resolution((1000, 1000), 24576, 6.0, ObjectSize("dot", 4.0, 5.0)).value.reduction == 1


@given(st.integers(32, 4000), st.integers(32, 4000), st.floats(2, 400))
def test_three_quarters_of_the_objects_stay_large_enough(height: int, width: int, p25: float) -> None:
    resolution = choose_resolution((height, width), 24576, 6.0, ObjectSize("x", p25, 2 * p25)).value
    # Rounding the patch to whole steps may move the reduction by half a step in a side.
    shortest = min(resolution.patch_size)
    assert resolution.reduction <= max(p25 / SMALLEST_DIAMETER, 1.0) * (1 + 16 / max(shortest - 16, 16)) + 1e-9


@pytest.mark.parametrize(
    ("size", "objects", "sentence"),
    [
        ((522, 775), GLANDS, "show whole images already"),
        ((1000, 1000), NUCLEI, "over 6.0"),
        ((700, 700), ObjectSize("nucleus", 19.0, 24.0), "less than 6"),
    ],
)
def test_a_pointless_whole_image_configuration_is_left_out(
    size: tuple[int, int], objects: ObjectSize, sentence: str
) -> None:
    patches = choose_resolution(size, 24576, 6.0, objects).value
    decision = choose_whole_resolution(size, 24576, 6.0, patches, objects)
    assert decision.value is None
    assert sentence in decision.reason


def test_whole_images_beside_patches() -> None:
    objects = ObjectSize("nerve", 30.0, 60.0)
    patches = choose_resolution((700, 900), 24576, 6.0, objects).value
    whole = choose_whole_resolution((700, 900), 24576, 6.0, patches, objects).value
    assert not patches.whole
    assert whole is not None
    assert whole.whole
    assert whole.reduction > patches.reduction
    assert 700 / whole.reduction <= whole.patch_size[0] + 1e-6
    assert 900 / whole.reduction <= whole.patch_size[1] + 1e-6


@pytest.mark.parametrize(
    ("reduction", "modality", "fixed", "averages", "reason"),
    [
        (4.06, "histology", False, True, "4.06 times as fine"),
        (1.0, "histology", False, False, "No image is reduced"),
        (4.06, "histology", True, False, "The preset resizes by a spline"),
        (4.06, "ultrasound", False, False, "on tissue only"),
        (4.06, None, False, False, "on tissue only"),
    ],
)
def test_images_of_tissue_are_averaged_where_they_are_reduced(
    reduction: float, modality: Modality | None, fixed: bool, averages: bool, reason: str
) -> None:
    decision = choose_antialiasing(Resolution((128, 192), reduction, True), modality, fixed)
    assert decision.value is averages
    assert reason in decision.reason


def test_a_fixed_patch_shows_the_median_image_whole_whatever_its_aspect() -> None:
    resolution = fixed_resolution((522, 775), (128, 128)).value
    assert (resolution.patch_size, resolution.whole) == ((128, 128), True)
    assert resolution.reduction == pytest.approx(522 / 128)
    assert resolution.reduction * resolution.stretch == pytest.approx(775 / 128)


def test_what_a_user_sets_is_kept_and_the_rest_follows() -> None:
    planned = choose_resolution((522, 775), 24576, 6.0).value
    by_patch = chosen_resolution((522, 775), (256, 384), None, planned).value
    assert by_patch == Resolution((256, 384), 522 / 256, True)
    by_reduction = chosen_resolution((522, 775), None, 2.0, planned).value
    assert by_reduction == Resolution((128, 192), 2.0, False)
