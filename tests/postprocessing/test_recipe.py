import json

import numpy as np
import pytest
from scipy import ndimage

from medt_pipeline.core.errors import UserError
from medt_pipeline.postprocessing.recipe import (
    PostProcessing,
    apply,
    apply_step,
    object_map,
    read_recipe,
    smooth_probabilities,
)
from medt_pipeline.postprocessing.splitting import Splitting, split_objects
from medt_pipeline.postprocessing.steps import Step

RECIPE = PostProcessing(
    1.5,
    {1: (Step("remove_small_objects", 20.0), Step("fill_holes", 30.0)), 2: (Step("keep_largest"),)},
    {1: Splitting(2.5, 1.0)},
)


def labels_of(*rows):
    return np.array([[int(value) for value in row] for row in rows])


def test_steps_follow_one_another_class_by_class():
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:14, 2:14] = 1
    label_map[5:8, 5:8] = 0
    label_map[20, 20] = 1
    label_map[20:28, 2:8] = 2
    label_map[2:4, 30:32] = 2
    after = apply(PostProcessing(0.0, RECIPE.steps), label_map)
    expected = np.zeros_like(label_map)
    expected[2:14, 2:14] = 1
    expected[20:28, 2:8] = 2
    assert np.array_equal(after, expected)
    assert after.dtype == label_map.dtype
    assert label_map[20, 20] == 1


def test_a_class_takes_from_background_only():
    before = labels_of("11111", "12011", "11111")
    assert np.array_equal(apply_step(before, 1, Step("fill_holes", 9.0)), labels_of("11111", "12111", "11111"))
    before = labels_of("111110", "101210", "111110", "000000")
    after = apply_step(before, 1, Step("fill_holes", 9.0))
    assert np.array_equal(after, labels_of("111110", "111210", "111110", "000000"))


def test_what_a_class_gives_up_is_background():
    before = labels_of("1000", "0002", "2200")
    assert np.array_equal(apply_step(before, 2, Step("remove_small_objects", 2.0)), labels_of("1000", "0000", "2200"))


def test_smoothing_takes_the_most_probable_class_of_the_smoothed_planes():
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], (20, 30)).transpose(2, 0, 1).astype(np.float16)
    planes = np.stack(
        [ndimage.gaussian_filter(plane.astype(np.float32), 2.0, mode="nearest") for plane in probabilities]
    )
    label_map = probabilities.argmax(0).astype(np.uint8)
    after = apply(PostProcessing(2.0), label_map, probabilities)
    assert np.array_equal(after, planes.argmax(0))
    assert after.dtype == np.uint8
    assert np.array_equal(smooth_probabilities(probabilities, 1e-6), label_map)


def test_smoothing_needs_probabilities_of_the_same_size():
    with pytest.raises(ValueError, match="none are given"):
        apply(PostProcessing(1.0), np.zeros((4, 4), int))
    with pytest.raises(ValueError, match="shape"):
        apply(PostProcessing(1.0), np.zeros((4, 4), int), np.zeros((2, 4, 5)))


def test_an_empty_recipe_changes_nothing():
    label_map = np.random.default_rng(0).integers(0, 3, (9, 9))
    assert np.array_equal(apply(PostProcessing(), label_map), label_map)


def test_objects_are_numbered_through_the_classes():
    rows, columns = np.mgrid[:60, :120]
    label_map = np.zeros((60, 120), int)
    label_map[((rows - 30) ** 2 + (columns - 25) ** 2 < 200) | ((rows - 30) ** 2 + (columns - 46) ** 2 < 200)] = 1
    label_map[20:40, 70:90] = label_map[20:40, 100:110] = 2
    objects = object_map(RECIPE, label_map, [1, 2])
    assert objects.max() == 4
    assert np.array_equal(objects > 0, label_map > 0)
    assert np.array_equal(np.where(label_map == 1, objects, 0), split_objects(label_map == 1, RECIPE.splitting[1]))
    assert set(np.unique(objects[label_map == 2])) == {3, 4}
    assert not object_map(RECIPE, np.zeros((5, 5), int), [1, 2]).any()


def test_files_hold_the_whole_recipe():
    content = json.loads(json.dumps(RECIPE.to_json()))
    assert content["classes"]["1"]["steps"][0] == {"step": "remove_small_objects", "min_area_px": 20.0}
    assert read_recipe(content, "inference.json") == RECIPE
    assert read_recipe(json.loads(json.dumps(PostProcessing().to_json())), "x") == PostProcessing()


def test_a_step_is_added_behind():
    assert RECIPE.with_step(2, Step("open", 1.0)).steps[2] == (Step("keep_largest"), Step("open", 1.0))
    assert RECIPE.with_step(3, Step("open", 1.0)).steps[3] == (Step("open", 1.0),)


def changed(**parts):
    return {**RECIPE.to_json(), **parts}


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        changed(version=2),
        changed(more=1),
        changed(smoothing_px="1"),
        changed(smoothing_px=-1),
        changed(smoothing_px=float("nan")),
        changed(smoothing_px=10**400),
        changed(smoothing_px=True),
        changed(classes=[]),
        changed(classes={"0": {"steps": [], "splitting": None}}),
        changed(classes={"x": {"steps": [], "splitting": None}}),
        changed(classes={"1": {"steps": []}}),
        changed(classes={"1": {"steps": {}, "splitting": None}}),
        changed(classes={"1": {"steps": [{"step": "keep_largest"}] * 101, "splitting": None}}),
        changed(classes={"1": {"steps": [{"step": "explode"}], "splitting": None}}),
        changed(classes={"1": {"steps": [{"step": ["open"]}], "splitting": None}}),
        changed(classes={"1": {"steps": [{"step": "open"}], "splitting": None}}),
        changed(classes={"1": {"steps": [{"step": "open", "radius_px": 1e9}], "splitting": None}}),
        changed(classes={"1": {"steps": [{"step": "open", "radius_px": None}], "splitting": None}}),
        changed(classes={"1": {"steps": [{"step": "keep_largest", "radius_px": 1}], "splitting": None}}),
        changed(classes={"1": {"steps": [], "splitting": {"depth_px": 0, "smoothing_px": 0}}}),
        changed(classes={"1": {"steps": [], "splitting": {"depth_px": 1}}}),
    ],
    ids=range(24),
)
def test_anything_else_is_refused_in_one_sentence(content):
    with pytest.raises(UserError, match=r"The post-processing in inference\.json cannot be used") as refused:
        read_recipe(content, "inference.json")
    assert "\n" not in str(refused.value)
