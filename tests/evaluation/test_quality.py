from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from medt_pipeline.evaluation.quality import calibrate, expected_dice


def test_expected_dice_of_certain_and_of_even_probabilities() -> None:
    labels = np.zeros((4, 4), int)
    labels[:2] = 1
    certain = np.stack([labels == 0, labels == 1]).astype(float)
    assert expected_dice(certain, labels) == 1
    # Half of 16 pixels expected as foreground, 4 of them in the mask of 8: 2 × 4 / (8 + 8).
    assert expected_dice(np.full((2, 4, 4), 0.5), labels) == pytest.approx(0.5)
    assert math.isnan(expected_dice(certain, np.zeros((4, 4), int)))


def test_expected_dice_is_what_true_masks_drawn_from_the_probabilities_have() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=(60, 60))
    labels = (p > 0.5).astype(int)
    drawn = [rng.uniform(size=p.shape) < p for _ in range(50)]
    dice = [2 * (one & (labels == 1)).sum() / (one.sum() + labels.sum()) for one in drawn]
    assert expected_dice(np.stack([1 - p, p]), labels) == pytest.approx(np.mean(dice), abs=0.005)


def test_calibration_finds_a_line_and_judges_it_on_other_folds() -> None:
    rng = np.random.default_rng(0)
    expected = rng.uniform(0.5, 1, 50)
    true = np.clip(1.4 * expected - 0.5 + rng.normal(0, 0.02, 50), 0, 1)
    quality = calibrate(expected, true, [i % 5 for i in range(50)])
    assert quality is not None
    assert quality.slope == pytest.approx(1.4, abs=0.1)
    assert quality.estimate(0.9) == pytest.approx(1.4 * 0.9 - 0.5, abs=0.02)
    assert (quality.estimate(-5), quality.estimate(5)) == (0, 1)
    assert quality.correlation > 0.95
    assert quality.error < 0.03
    assert quality.rank_correlation == pytest.approx(stats.spearmanr(expected, true).statistic, abs=0.02)


def test_numbers_without_relation_have_no_correlation() -> None:
    rng = np.random.default_rng(3)
    quality = calibrate(rng.uniform(size=400), rng.uniform(size=400), [i % 5 for i in range(400)])
    assert quality is not None
    assert abs(quality.correlation) < 0.2


def test_few_cases_or_equal_ones_calibrate_nothing() -> None:
    assert calibrate([0.5] * 9, [0.5] * 9, [0] * 9) is None
    assert calibrate([0.5] * 20, list(np.linspace(0, 1, 20)), [0, 1] * 10) is None
    assert calibrate([math.nan] * 20, list(np.linspace(0, 1, 20)), [0, 1] * 10) is None
