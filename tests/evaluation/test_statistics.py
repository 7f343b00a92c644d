import numpy as np
import pytest
from scipy import stats

from medt_pipeline.evaluation import statistics
from medt_pipeline.evaluation.statistics import (
    difference,
    interval,
    lower_bounds,
    paired_difference,
    resampled_means,
    resampled_sums,
)

RNG = np.random.default_rng(5)
SCORES = RNG.beta(8, 2, 60)
ALONE = [str(number) for number in range(60)]


def _reference_interval(samples, statistic, **options):
    """SciPy's percentile bootstrap of independent observations."""
    done = stats.bootstrap(
        samples, statistic, method="percentile", n_resamples=20000, random_state=np.random.default_rng(0), **options
    )
    return tuple(done.confidence_interval)


def test_interval_of_a_mean_equals_scipy():
    ours = interval(resampled_means(SCORES, ALONE, resamples=20000))
    assert ours == pytest.approx(_reference_interval((SCORES,), np.mean), abs=1e-3)


def test_interval_of_a_pooled_score_equals_scipy():
    part, whole = RNG.integers(1, 50, (2, 60))
    sums = resampled_sums(np.stack([part, whole], 1), ALONE, resamples=20000)
    expected = _reference_interval(
        (part, whole), lambda one, other, axis: one.sum(axis) / other.sum(axis), paired=True, vectorized=True
    )
    assert interval(sums[:, 0] / sums[:, 1]) == pytest.approx(expected, rel=1e-2)


def test_interval_of_a_difference_equals_scipy():
    other = SCORES + RNG.normal(0.02, 0.05, 60)
    ours = paired_difference(SCORES, other, ALONE, resamples=20000)
    assert ours.value == pytest.approx(SCORES.mean() - other.mean())
    assert ours.interval == pytest.approx(_reference_interval((SCORES - other,), np.mean), abs=1e-3)


def test_resamples_are_of_whole_groups():
    values, groups = np.array([1.0, 1.0, 0.0, 10.0]), ["a", "a", "b", "c"]
    sums = resampled_sums(np.stack([values, np.ones(4)], 1), groups, resamples=4000)
    assert {tuple(row) for row in sums} == {
        (2 * a + 10 * c, 2 * a + b + c) for a in range(4) for b in range(4 - a) for c in [3 - a - b]
    }
    np.testing.assert_allclose(sums.mean(0), [12, 4], rtol=0.05)


def test_intervals_of_clustered_scores_hold_what_they_promise():
    """Truth 0 lies within 95 % of 95 % intervals over patients, and within far fewer that ignore them."""
    rng = np.random.default_rng(11)
    patients = np.repeat(np.arange(30), 8)
    hits = {"patients": 0, "images": 0}
    for seed in range(200):
        values = rng.normal(0, 1, 30)[patients] + rng.normal(0, 0.5, 240)
        for name, groups in (("patients", patients), ("images", np.arange(240))):
            low, high = interval(resampled_means(values, groups.astype(str), resamples=400, seed=seed))
            hits[name] += low <= 0 <= high
    assert 0.89 < hits["patients"] / 200 < 0.99
    assert hits["images"] / 200 < 0.7


def test_undefined_values_are_left_out():
    values = np.array([[0.5, np.nan], [np.nan, np.nan], [1.0, np.nan]])
    means = resampled_means(values, ["a", "b", "c"], resamples=500)
    assert means.shape == (500, 2)
    defined = means[~np.isnan(means[:, 0]), 0]
    assert 0 < len(defined) < 500
    assert set(np.round(defined, 9)) <= {0.5, 1.0, 0.75, round(2 / 3, 9), round(5 / 6, 9)}
    low, high = interval(means)
    assert (low[0], high[0]) == (0.5, 1.0)
    assert np.isnan([low[1], high[1]]).all()


def test_one_group_gives_no_interval():
    assert np.isnan(interval(resampled_means(np.array([0.5, 0.7]), ["a", "a"]))).all()
    alone = paired_difference(np.array([0.5, 0.7]), np.array([0.4, 0.4]), ["a", "a"])
    assert alone.value == pytest.approx(0.2)
    assert np.isnan([*alone.interval, alone.share_above]).all()


def test_draws_follow_from_the_seed_alone(monkeypatch):
    first = resampled_sums(SCORES, ALONE)
    assert np.array_equal(first, resampled_sums(SCORES, ALONE))
    np.testing.assert_allclose(resampled_sums(np.stack([SCORES, SCORES], 1), ALONE), first[:, None].repeat(2, 1))
    assert not np.array_equal(first, resampled_sums(SCORES, ALONE, seed=1))
    monkeypatch.setattr(statistics, "_NUMBERS_AT_ONCE", 7 * 60)
    np.testing.assert_allclose(resampled_sums(SCORES, ALONE), first, rtol=1e-12)


def test_pairing_finds_what_lies_below_the_spread():
    shifted = SCORES - 0.002
    found = paired_difference(SCORES, shifted, ALONE)
    assert found.share_above == 1.0
    assert found.interval == pytest.approx((0.002, 0.002))
    assert paired_difference(shifted, SCORES, ALONE).share_above == 0.0
    assert paired_difference(SCORES, SCORES, ALONE).share_above == 0.5


def test_difference_of_models_that_are_defined_on_other_images():
    first, second = np.array([0.0, 0.8, 0.8]), np.array([np.nan, 0.8, 0.8])
    assert paired_difference(first, second, ["a", "b", "c"]).value == pytest.approx(1.6 / 3 - 0.8)
    nothing = paired_difference(first, np.full(3, np.nan), ["a", "b", "c"])
    assert np.isnan([nothing.value, *nothing.interval]).all()


def test_difference_of_any_score():
    described = difference(1.0, np.array([1.0, 2.0, 0.0, -1.0, np.nan]), level=0.5)
    assert described.share_above == 2.5 / 4
    assert described.interval == pytest.approx((-0.25, 1.25))


def test_lower_bounds_are_those_of_student_where_scores_are_normal():
    rng = np.random.default_rng(4)
    values = rng.normal(0.3, 1, (40, 3))
    low = lower_bounds(values, [str(number) for number in range(40)], error=0.05)
    expected = values.mean(0) - stats.t.ppf(0.95, 39) * values.std(0, ddof=1) / np.sqrt(40)
    np.testing.assert_allclose(low, expected, atol=0.05)


@pytest.mark.parametrize("patients", [8, 15])
def test_lower_bounds_keep_their_promise_with_few_patients_and_small_errors(patients):
    rng = np.random.default_rng(6)
    index = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    above = 0
    for seed in range(80):
        values = rng.normal(0, 1, (patients, 10))[index] + rng.normal(0, 0.3, (len(index), 10))
        above += (lower_bounds(values, index.astype(str), error=0.005, resamples=4000, seed=seed) > 0).any()
    assert above <= 8


def test_lower_bounds_of_equal_and_of_single_scores():
    assert lower_bounds(np.full((6, 1), 0.25), list("aabbcc"), 0.01) == pytest.approx([0.25])
    assert lower_bounds(np.zeros((6, 1)), list("aabbcc"), 0.01) == [0.0]
    rare = np.array([[0.0], [0.0], [0.0], [0.0], [0.0], [0.1]])
    assert lower_bounds(rare, list("abcdef"), 0.01) < 0
