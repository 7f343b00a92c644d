"""The harness itself, and a few kills of each command."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.comparison import differences
from tests.faults.kill import HEADER, Tally, kill
from tests.faults.stages import STAGES


def test_differences_are_named() -> None:
    found, expected = {"a": "1", "b": "2", "d": "4"}, {"a": "1", "b": "3", "c": "4"}
    assert differences(found, expected) == ["other: b", "missing: c", "too many: d"]
    assert not differences(found, dict(found))


def test_the_table_counts() -> None:
    tally = Tally()
    tally.injected.update({"SIGKILL": 2, "SIGTERM": 1})
    tally.survived = 3
    assert HEADER.splitlines()[0] == "| command | SIGKILL | SIGTERM | injected | survived | lost |"
    assert tally.row("train") == "| `train` | 2 | 1 | 3 | 3 | 0 |"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convert", "plan"])
def test_killed_at_random_moments_it_ends_as_if_undisturbed(name: str, tmp_path: Path) -> None:
    tally = kill(name, 3, random.Random(1), tmp_path)
    assert not tally.lost
    assert tally.survived >= 3
    assert set(STAGES) == {"convert", "plan", "train", "find_best", "predict"}
