from __future__ import annotations

import math

import numpy as np
import pytest

from medt_pipeline.report.estimates import Estimate, mean_over_images, number_of


def test_mean_over_the_defined_with_an_interval_around() -> None:
    values = [*np.linspace(0.5, 0.9, 20), math.nan]
    found = mean_over_images(values, [str(index) for index in range(21)])
    assert found.value == pytest.approx(0.7)
    # Of the mean of n values: 1.96 standard errors on either side, of which a bootstrap is a little short.
    error = np.std(values[:20], ddof=1) / math.sqrt(20)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_single_group_says_nothing_of_its_spread() -> None:
    found = mean_over_images([0.5, 0.7], ["p", "p"])
    assert found.value == pytest.approx(0.6)
    assert math.isnan(found.low)
    assert math.isnan(mean_over_images([math.nan], ["p"]).value)


def test_null_is_undefined() -> None:
    assert math.isnan(number_of(None))
    assert Estimate.from_json({"value": 0.5, "low": 0.25, "high": 1}) == Estimate(0.5, 0.25, 1.0)
    with pytest.raises(KeyError):
        Estimate.from_json({"value": 0.5})
