from __future__ import annotations

from medt_pipeline.fingerprint.spread import Spread, median_of, share_of, spread_of


def test_spread() -> None:
    assert spread_of(list(range(11))) == Spread(11, 1, 5, 9)
    assert spread_of([3.0]) == Spread(1, 3, 3, 3)


def test_median_leaves_out_none() -> None:
    assert median_of([1, None, 3, 8]) == 3
    assert median_of([None]) is None
    assert median_of([]) is None


def test_share() -> None:
    assert share_of([True, False, True, True]) == 0.75
    assert share_of([]) == 0
