import json

import numpy as np
import pytest
from scipy import ndimage

from medt_pipeline.evaluation.held_out import CaseSource, HeldOutCase
from medt_pipeline.evaluation.labels import make_labels
from medt_pipeline.evaluation.postprocessing_learning import choose, learn_postprocessing
from medt_pipeline.postprocessing.recipe import PostProcessing, read_recipe

LABELS = make_labels({"gland": 1}, "here")
SHAPE = (64, 80)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def disc(row, column, radius):
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


def truth(seed):
    rng = np.random.default_rng(seed)
    return disc(20 + rng.integers(-3, 4), 22, 12) | disc(42, 55 + rng.integers(-3, 4), 13)


def specks(seed, size, number):
    """Squares far from the two discs."""
    rng = np.random.default_rng(seed)
    found = np.zeros(SHAPE, bool)
    for _ in range(number):
        row, column = rng.integers(0, 10), rng.integers(40, 76)
        found[row : row + size, column : column + size] = True
    return found


def holes(seed):
    rng = np.random.default_rng(seed)
    return disc(20, 22, 1.5) | disc(42 + rng.integers(-4, 5), 55, 2)


def sources(make, number=12, images=2):
    """`images` cases of each of `number` patients; `make` gives a case of a seed."""
    return [
        CaseSource(f"p{patient}", lambda seed=images * patient + image: make(seed))
        for patient in range(number)
        for image in range(images)
    ]


def learn(make, labels=LABELS, number=12, **options):
    return learn_postprocessing(sources(make, number), labels, threads=2, **options)


def labelled(reference, prediction):
    return HeldOutCase(reference.astype(np.uint8), prediction.astype(np.uint8))


def test_specks_are_removed_and_nothing_else_is_done():
    learned = learn(lambda seed: labelled(truth(seed), truth(seed) | specks(seed, 2, 3)))
    assert [step.name for step in learned.recipe.steps[1]] == ["remove_small_objects"]
    assert not learned.recipe.splitting
    assert learned.recipe.smoothing == 0
    (taken,) = (trial for trial in learned.trials if trial.taken)
    assert 0 < taken.low < taken.gain < 0.05
    kinds = {trial.step.split("(")[0] for trial in learned.trials}
    assert kinds == {"remove_small_objects", "fill_holes", "keep_largest", "open", "close"}


def test_holes_are_filled_and_specks_removed():
    learned = learn(lambda seed: labelled(truth(seed), (truth(seed) & ~holes(seed)) | specks(seed, 2, 2)))
    assert {step.name for step in learned.recipe.steps[1]} == {"fill_holes", "remove_small_objects"}


def test_perfect_predictions_are_left_alone():
    learned = learn(lambda seed: labelled(truth(seed), truth(seed)), objects=True)
    assert learned.recipe == PostProcessing()
    assert max(trial.gain for trial in learned.trials) == 0
    assert not any(trial.taken for trial in learned.trials)


def test_the_largest_alone_is_kept_where_there_is_one():
    def make(seed):
        one = disc(40, 30 + seed % 5, 14)
        return labelled(one, one | disc(8, 70, 6))

    (step,) = learn(make).recipe.steps[1]
    assert step.name in ("keep_largest", "remove_small_objects")
    assert step(make(3).prediction == 1)[8, 70] == 0


def test_what_helps_one_patient_alone_is_not_learned():
    def make(seed):
        return labelled(truth(seed), truth(seed) | (specks(seed, 4, 4) if seed < 2 else np.zeros(SHAPE, bool)))

    learned = learn(make)
    assert learned.recipe == PostProcessing()
    assert max(trial.gain for trial in learned.trials) > 0.001


def test_what_helps_some_and_harms_others_is_not_learned():
    def make(seed):
        small = specks(seed, 3, 3)
        return labelled(truth(seed) | (small if seed % 4 < 2 else False), truth(seed) | small)

    assert learn(make).recipe == PostProcessing()


def test_a_removed_false_alarm_is_a_gain():
    def make(seed):
        present = seed % 2 == 0
        return labelled(truth(seed) & present, (truth(seed) & present) | specks(seed, 2, 1))

    (step,) = learn(make).recipe.steps[1]
    assert step.name == "remove_small_objects"


def test_noisy_probabilities_are_smoothed():
    def make(seed):
        one = ndimage.gaussian_filter(truth(seed).astype(float), 1.0)
        one = np.clip(one + np.random.default_rng(seed).normal(0, 0.4, SHAPE), 0, 1)
        return HeldOutCase(truth(seed).astype(np.uint8), probabilities=np.stack([1 - one, one]).astype(np.float16))

    learned = learn(make)
    assert learned.recipe.smoothing > 0
    assert learned.trials[0].label == "all classes"
    assert any(trial.taken for trial in learned.trials if trial.step.startswith("smooth_probabilities"))


def test_touching_objects_are_split_where_the_truth_has_them_apart():
    def make(seed):
        shift = seed % 3
        left, right = disc(30, 24, 14), disc(30, 46 + shift, 14)
        objects = np.where(left, 1, 0) + np.where(right & ~left, 2, 0)
        return HeldOutCase((objects > 0).astype(np.uint8), (objects > 0).astype(np.uint8), None, objects)

    learned = learn(make, objects=True)
    assert set(learned.recipe.splitting) == {1}
    assert not learned.recipe.steps
    taken = next(trial for trial in learned.trials if trial.taken)
    assert taken.gain == pytest.approx(1 - (2 / 3 + 2 / 3) / 2, abs=0.06)
    assert not learn(make).recipe.splitting


def test_every_class_learns_for_itself():
    def make(seed):
        left, right = disc(20, 22, 12), disc(42, 55, 13)
        reference = left + 2 * right
        prediction = reference.astype(int)
        prediction[specks(seed, 2, 3) & (prediction == 0)] = 1
        prediction[disc(42, 55, 2)] = 0
        return HeldOutCase(reference, prediction)

    learned = learn(make, make_labels({"gland": 1, "tumour": 2, "never": 3}, "here"))
    assert [step.name for step in learned.recipe.steps[1]] == ["remove_small_objects"]
    assert [step.name for step in learned.recipe.steps[2]] == ["fill_holes"]
    assert set(learned.recipe.steps) == {1, 2}


def test_ignored_pixels_count_for_nothing():
    def make(seed):
        reference = truth(seed).astype(np.uint8)
        reference[:14, 38:] = 9
        return HeldOutCase(reference, (truth(seed) | specks(seed, 2, 3)).astype(np.uint8))

    assert learn(make, make_labels({"gland": 1, "ignore": 9}, "here")).recipe == PostProcessing()


def test_few_patients_teach_nothing():
    learned = learn(lambda seed: labelled(truth(seed), truth(seed) | specks(seed, 2, 3)), number=4)
    assert learned.recipe == PostProcessing()
    assert learned.trials == ()
    assert "4 patients are too few" in learned.reason


def test_classes_that_never_occur_teach_nothing():
    learned = learn(lambda seed: labelled(np.zeros(SHAPE), specks(seed, 2, 3)), objects=True)
    assert (learned.recipe, learned.trials) == (PostProcessing(), ())


def test_files_hold_recipe_and_reasons():
    learned = learn(lambda seed: labelled(truth(seed), truth(seed) | specks(seed, 2, 3)))
    content = json.loads(json.dumps(learned.to_json(), allow_nan=False))
    assert read_recipe(content["recipe"], "inference.json") == learned.recipe
    assert len(content["trials"]) == len(learned.trials)
    assert content["groups"] == 12


def test_chance_is_seldom_taken_for_help():
    """Gains of 20 candidates in 15 patients that are nothing but chance: taken in few of 80 data sets."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(15), 4)
    groups = patients.astype(str)
    taken = 0
    for _ in range(80):
        gains = rng.normal(0, 1, (15, 20))[patients] + rng.normal(0, 1, (60, 20))
        taken += choose(gains, groups)[0] is not None
    assert taken <= 6


def test_the_largest_of_the_good_ones_is_chosen():
    rng = np.random.default_rng(1)
    gains = np.stack([rng.normal(0.01, 0.001, 30), rng.normal(0.02, 0.001, 30), rng.normal(0.05, 0.5, 30)], axis=1)
    index, low = choose(gains, [str(number) for number in range(30)])
    assert index == 1
    assert low[1] > 0 > low[2]
    assert choose(gains * 1e-3, [str(number) for number in range(30)])[0] is None
