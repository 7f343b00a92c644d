import numpy as np
import pytest
from skimage.segmentation import find_boundaries

from medt_pipeline.core.overlays import (
    PALETTE,
    colour_of,
    draw_overlay,
    enlargement,
    line_width,
    smaller_rgb8,
    to_rgb8,
)

RNG = np.random.default_rng(0)
GRAY = RNG.integers(60, 90, (300, 330), np.uint8)
ROWS, COLUMNS = np.indices(GRAY.shape)
DISC = ((ROWS - 140) ** 2 + (COLUMNS - 160) ** 2 < 70**2).astype(np.uint8)


def of_colour(picture, label):
    return (picture == colour_of(label)).all(-1)


def test_contour_is_the_inner_boundary_two_pixels_wide():
    line = of_colour(draw_overlay(GRAY, DISC), 1)
    first = find_boundaries(DISC, connectivity=2, mode="inner")
    second = find_boundaries(np.where(first, 0, DISC), connectivity=2, mode="inner")
    assert np.array_equal(line, first | second)


def test_outside_is_unchanged_and_the_inside_only_tinted():
    picture = draw_overlay(GRAY, DISC).astype(int)
    assert np.array_equal(picture[DISC == 0], np.repeat(GRAY[DISC == 0][:, None], 3, axis=1))
    inside = (DISC > 0) & ~of_colour(picture, 1)
    assert np.corrcoef(picture[inside][:, 0], GRAY[inside])[0, 1] > 0.99
    assert np.abs(picture[inside] - GRAY[inside][:, None]).max() < 30


def test_empty_mask_leaves_the_image_as_it_is():
    picture = draw_overlay(GRAY, np.zeros_like(DISC), np.zeros_like(DISC))
    assert np.array_equal(picture, to_rgb8(GRAY))


def test_touching_labels_both_keep_their_line_and_the_image_border_has_none():
    mask = np.where(COLUMNS < 165, 1, 2)
    picture = draw_overlay(GRAY, mask)
    assert of_colour(picture, 1).nonzero()[1].min() == 163
    assert of_colour(picture, 1).sum() == of_colour(picture, 2).sum() == 2 * 300


def test_single_pixel_is_visible():
    mask = np.zeros((300, 300), int)
    mask[150, 150] = 3
    assert of_colour(draw_overlay(np.zeros((300, 300), np.uint8), mask), 3).sum() == 1


def test_reference_is_dashed_close_outside_its_border():
    dark = np.full_like(GRAY, 128)
    picture = draw_overlay(dark, np.zeros_like(DISC), DISC)
    drawn = (picture != 128).any(-1)
    near = np.abs(np.hypot(ROWS - 140, COLUMNS - 160) - 71) < 3.5
    assert drawn.any()
    assert not drawn[~near].any()
    white, black = (picture == 255).all(-1), (picture == 0).all(-1)
    assert 0.4 < white.sum() / drawn.sum() < 0.6
    assert (white | black | ~drawn).all()
    angles = np.arctan2(ROWS - 140, COLUMNS - 160)[drawn]
    assert len(np.unique((angles * 180 / np.pi).astype(int))) > 350, "the line must go all around"


def test_prediction_stays_visible_where_the_reference_agrees():
    alone, both = draw_overlay(GRAY, DISC), draw_overlay(GRAY, DISC, DISC)
    assert of_colour(both, 1).sum() > 0.5 * of_colour(alone, 1).sum()


@pytest.mark.parametrize(
    ("shape", "factor"),
    [((256, 10), 1), ((300, 200), 1), ((160, 208), 2), ((255, 255), 2), ((64, 64), 4), ((1, 1), 256)],
)
def test_small_images_are_enlarged_by_whole_factors(shape, factor):
    assert enlargement(shape) == factor
    image = RNG.integers(0, 255, shape, np.uint8)
    picture = draw_overlay(image, np.zeros(shape, int))
    assert picture.shape == (shape[0] * factor, shape[1] * factor, 3)
    assert np.array_equal(picture[::factor, ::factor, 0], image)
    assert np.array_equal(picture[factor - 1 :: factor, factor - 1 :: factor, 0], image)


def test_lines_grow_with_the_picture():
    assert [line_width((side, 10)) for side in (256, 600, 1000, 3000)] == [2, 2, 3, 10]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, bool])
@pytest.mark.parametrize("channels", [(), (3,)], ids=["gray", "rgb"])
def test_every_dtype_gives_rgb_bytes_and_keeps_its_input(dtype, channels):
    image = RNG.integers(0, 200, (300, 310, *channels)).astype(dtype)
    before = image.copy()
    picture = draw_overlay(image, np.zeros((300, 310), int))
    assert (picture.dtype, picture.shape) == (np.dtype(np.uint8), (300, 310, 3))
    assert picture.max() > 150
    assert np.array_equal(image, before)


def test_wide_images_are_scaled_without_their_outliers():
    image = np.linspace(1000, 2000, 10000).reshape(100, 100)
    image[0, :3] = np.nan, np.inf, 1e9
    scaled = to_rgb8(image)[..., 0]
    assert scaled[0, 0] == scaled[0, 1] == 0
    assert scaled[0, 2] == 255
    assert scaled[50, 0] == pytest.approx(128, abs=2)
    sparse = np.zeros((100, 100), np.uint16)
    sparse[5, 5] = 900
    assert to_rgb8(sparse).sum() == 3 * 255, "one bright pixel must not vanish"
    assert not to_rgb8(np.full((4, 4), 7, np.uint16)).any()
    assert not to_rgb8(np.full((4, 4), np.nan)).any()


def test_legend_lies_below_the_picture_and_wraps():
    plain = draw_overlay(GRAY, DISC)
    few = draw_overlay(GRAY, DISC, names={0: "background", 1: "gland"})
    many = draw_overlay(GRAY, DISC, names={label: f"class number {label}" for label in range(1, 8)})
    assert np.array_equal(few[:300], plain)
    assert few.shape[1] == many.shape[1] == 330
    assert many.shape[0] > few.shape[0] > 300
    assert of_colour(few[300:], 1).any()
    assert all(of_colour(many[300:], label).any() for label in range(1, 8))


def test_colours_are_distinct_and_repeat():
    assert len(set(PALETTE)) == 7
    assert colour_of(1) == colour_of(8) != colour_of(2)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"\(300, 330\).*\(330, 300\)"):
        draw_overlay(GRAY, DISC.T)
    with pytest.raises(ValueError, match=r"\(300, 330\).*\(3, 3\)"):
        draw_overlay(GRAY, DISC, np.zeros((3, 3), int))


def test_a_preview_is_reduced_and_never_enlarged():
    wide = np.zeros((100, 300), np.uint16)
    wide[:, 150:] = 4095
    small = smaller_rgb8(wide, 60)
    assert (small.shape, small.dtype) == ((20, 60, 3), np.uint8)
    assert small[10, 5].tolist() == [0, 0, 0]
    assert small[10, 55].tolist() == [255, 255, 255]
    assert np.array_equal(smaller_rgb8(GRAY, 400), to_rgb8(GRAY))
