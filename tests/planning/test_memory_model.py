"""Counted memory against sums by hand and against what a process takes."""

from __future__ import annotations

import multiprocessing
import sys

import pytest
import torch
from torch import nn

from medt_pipeline.network import MedT
from medt_pipeline.planning.memory_model import HOLES, PROCESS_BYTES, estimate_training_memory
from tests.benchmarks.measure import peak_of


def _small_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))


def test_parameters_and_activations_are_those_of_the_tensors() -> None:
    memory = estimate_training_memory(_small_network, 3, (16, 24), 5, "cpu")
    parameters = sum(parameter.numel() for parameter in _small_network().parameters())
    assert memory.parameters == 4 * 4 * parameters
    # The outputs of both convolutions and of the ReLU live at the same time, and all that is ever made is not enough
    # to fill twice that and the loss's handful of logits.
    pixels = 4 * 5 * 16 * 24
    assert HOLES["cpu"] * pixels * (8 + 8 + 2) <= memory.activations <= HOLES["cpu"] * pixels * 2 * (8 + 8 + 8 * 2)
    assert memory.total == memory.process + memory.parameters + memory.activations


def test_the_largest_batch_fills_the_memory() -> None:
    memory = estimate_training_memory(_small_network, 3, (16, 24), 5, "cpu")
    assert memory.largest_batch(memory.total) == 5
    assert memory.largest_batch(memory.total - 1) == 4
    assert memory.largest_batch(PROCESS_BYTES["cpu"]) == 0


def test_memory_grows_in_proportion_to_the_batch() -> None:
    two, six = (
        estimate_training_memory(lambda: MedT(3, 2, (64, 64), form="formula"), 3, (64, 64), batch, "cpu").activations
        for batch in (2, 6)
    )
    assert six == pytest.approx(3 * two, rel=0.03)


def test_recomputing_takes_less() -> None:
    kept, recomputed = (
        estimate_training_memory(lambda: MedT(3, 2, (64, 64), recompute=again), 3, (64, 64), 2, "cpu").activations  # noqa: B023
        for again in (False, True)
    )
    assert recomputed < 0.6 * kept


def _measure(size: int, batch: int) -> float:
    """Bytes that three training steps take over what the process had after a small one."""
    torch.set_num_threads(2)

    def train(size: int, batch: int, steps: int) -> None:
        network = MedT(3, 2, (size, size), form="formula").train()
        optimizer = torch.optim.AdamW(network.parameters())
        x, y = torch.randn(batch, 3, size, size), torch.randint(0, 2, (batch, size, size))
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()

    train(32, 2, 1)
    return peak_of(lambda: train(size, batch, 3))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
@pytest.mark.parametrize(("size", "batch"), [(128, 4), (256, 2)])
def test_estimate_is_near_what_a_training_takes(size: int, batch: int) -> None:
    memory = estimate_training_memory(lambda: MedT(3, 2, (size, size), form="formula"), 3, (size, size), batch, "cpu")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured = pool.apply(_measure, (size, batch)) + memory.process
    assert memory.total == pytest.approx(measured, rel=0.1)
