"""The benchmark runs and measures what it says; no test looks at a time."""

from __future__ import annotations

import multiprocessing
import sys

import pytest
import torch
from torch import nn

from tests.benchmarks import measure
from tests.benchmarks.contenders import Contender
from tests.benchmarks.speed import table


def test_kept_bytes_are_those_of_the_tensors_that_backward_needs() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    # The output of the ReLU, once, although two operators need it; the input and the weights do not count.
    assert measure.saved_bytes(Contender("", network), torch.zeros(5, 3, 16, 24)) == 4 * 5 * 8 * 16 * 24


def test_operations_are_those_of_the_multiplications() -> None:
    assert measure.operations(nn.Conv2d(3, 8, 3, padding=1), torch.zeros(1, 3, 16, 24)) == 2 * 8 * 3 * 9 * 16 * 24


class Large(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones(16_000_000) * x.sum()


def peak_of_large() -> int:
    contender = Contender("", Large())
    measure.seconds(contender, "inference", torch.ones(1))  # what torch loads once is not the work's
    return measure.peak_bytes(contender, "inference", torch.ones(1))


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_peak_bytes_hold_what_a_run_allots() -> None:
    # In a process of its own, as the benchmark measures: here, memory that earlier tests left free is used again.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak = pool.apply(peak_of_large)
    assert 60e6 <= peak <= 200e6


@pytest.mark.parametrize("work", ["layer", "network"])
def test_the_table_has_a_row_for_each_contender(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDT_PUBLISHED", raising=False)
    monkeypatch.setattr("tests.benchmarks.speed._peak", lambda *_: "1")
    rows = [line for line in table(work, 32, rounds=1, rate=1e9).splitlines() if line.startswith("| ")][1:]
    names = [row.split("|")[1].strip() for row in rows]
    assert names[0] == ("published form" if work == "layer" else "MedT, published form")
    assert "reference backend" in names
    peer = names.index("reference backend" if work == "layer" else "PlainConvUNet")
    assert rows[peer].split("|")[3].strip() == "1.00"
