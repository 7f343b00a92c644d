"""Costs against sums by hand, and against real files of a small training."""

from __future__ import annotations

import json
import typing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from medt_pipeline.attention import axial_attention
from medt_pipeline.fingerprint.medt_fingerprint import read_fingerprint
from medt_pipeline.planning.cost_model import (
    COSTS_FILE,
    MOMENTS,
    REACHED,
    Cost,
    Throughput,
    bytes_of,
    cost_record,
    cost_sentences,
    estimate_cost,
    patches_of_image,
)
from medt_pipeline.planning.memory_model import (
    BACKWARD_OF_ATTENTION,
    Work,
    attention_operations,
    estimate_training_memory,
)
from medt_pipeline.planning.presets import Optimizer, preset_names
from medt_pipeline.planning.run import plan_and_preprocess
from tests.conftest import DATASET_ID, DATASET_NAME, MODEL, Drawn

SCHEDULE = {
    "epochs": 10,
    "iterations_per_epoch": 4,
    "validation_iterations_per_epoch": 2,
    "optimizer": "AdamW",
}
CONFIGURATION = {
    "patch_size": [64, 64],
    "median_image_size_in_voxels": [64, 100],
    "batch_size": 4,
    "medt": {"schedule": SCHEDULE, "augmentation": {"mirror_axes": [1]}},
}


def _network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 2, 1, bias=False))


def test_the_work_of_convolutions_is_that_of_a_sum_by_hand() -> None:
    memory = estimate_training_memory(_network, 3, (16, 24), 5, "cpu")
    pixels = 5 * 16 * 24
    first, second = 2 * pixels * 9 * 3 * 8, 2 * pixels * 8 * 2
    assert memory.forward.operations == first + second
    # Each once more for its weights and, but for the image, for its input.
    assert memory.step.operations == 2 * first + 3 * second
    # Image, weights and result of each; nothing else runs forward.
    assert memory.forward.traffic == 4 * ((3 + 8 + 8 + 2) * pixels + 9 * 3 * 8 + 8 * 2)
    assert memory.step.traffic > 2 * memory.forward.traffic


class _Attention(nn.Module):
    def __init__(self, positions: bool) -> None:
        super().__init__()
        self.relative = nn.Parameter(torch.zeros(4 + 4 + 8, 2 * 24 - 1)) if positions else None
        self.scales = nn.Parameter(torch.zeros(5 if positions else 1, 2))
        self.grow = nn.Conv2d(1, 32, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        qkv = self.grow(x).unflatten(1, (2, 16)).permute(0, 3, 1, 2, 4)
        y = axial_attention(qkv, self.relative, self.scales, 4)
        return y[:, :, 0, 0, :2].transpose(1, 2)


@pytest.mark.parametrize("positions", [True, False], ids=["positions", "plain"])
def test_the_work_of_attention_is_that_of_its_products(positions: bool) -> None:
    """torch counts the products of the plain attention; the fused one does the same ones."""
    qkv = torch.zeros(3, 5, 2, 16, 24)
    relative = torch.zeros(16, 47) if positions else None
    with FlopCounterMode(display=False) as counter:
        axial_attention(qkv, relative, torch.zeros(5 if positions else 1, 2), 4, backend="reference")
    by_hand = attention_operations(qkv.shape, 4, positions)
    assert counter.get_total_flops() == by_hand
    memory = estimate_training_memory(lambda: _Attention(positions), 1, (5, 24), 3, "cpu")
    grow = 2 * 3 * 5 * 24 * 32
    assert memory.forward.operations == by_hand + grow
    assert memory.step.operations == (1 + BACKWARD_OF_ATTENTION) * by_hand + 2 * grow


def test_patches_of_an_image_are_nnunets() -> None:
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    for height, width in ((64, 64), (64, 65), (64, 96), (64, 97), (130, 300)):
        steps = compute_steps_for_sliding_window((height, width), (64, 64), 0.5)
        configuration = {**CONFIGURATION, "median_image_size_in_voxels": [height, width]}
        assert patches_of_image(configuration) == 2 * len(steps[0]) * len(steps[1])
    assert patches_of_image({**CONFIGURATION, "median_image_size_in_voxels": [10, 10], "medt": {}}) == 4


def test_the_work_of_a_fold_is_that_of_its_batches_and_images(planned: Drawn) -> None:
    cases = read_fingerprint(planned.preprocessed).cases
    step = estimate_training_memory(_network, 3, (64, 64), 2, "cpu")
    cost = estimate_cost(CONFIGURATION, step, cases, 5, 2, 1234)
    assert (cost.steps_of_fold, cost.folds, cost.preprocessed) == (40, 5, 1234)
    # Steps and validated batches of twice as many patches; two held-out images of three patches, mirrored too.
    expected = 40 * 2 * step.step.operations + 20 * 2 * step.forward.operations + 2 * 6 / 2 * step.forward.operations
    assert cost.fold.operations == expected
    assert cost.images.operations == 1000 * 6 / 2 * step.forward.operations


def test_hours_and_sentences() -> None:
    throughput = Throughput(operations=1e9, traffic=1e8)
    assert throughput.hours(Work(7.2e12, 3.6e11)) == pytest.approx((2 + 1) / REACHED)
    cost = Cost(100, Work(REACHED * 7.2e12, REACHED * 3.6e11), 5, Work(REACHED * 3e10, 0.0), 12_345_678, 2_000, 990)
    record = cost_record({"2d": cost}, throughput, 10, 10**9)
    assert record["bytes"] == {"raw_and_preprocessed": 10**9, "results": 2_990, "workspace": 10**9 + 2_990}
    assert cost_sentences(record) == [
        "2d: a fold about 3 h of this device, all 5 about 15 h; 1,000 images about 2.5 min with all folds.",
        "2d: 12 MB of arrays, about 2 kB of checkpoints, at most 990 B of held-out probabilities.",
        "The workspace with all of it: about 1 GB.",
    ]
    without = cost_record({"2d": cost}, None, 10, 0)
    assert without["configurations"]["2d"]["hours"] is None
    assert not any(" min" in line or " h " in line for line in cost_sentences(without))


def test_bytes_are_those_of_real_files(trained: Drawn) -> None:
    record = json.loads((trained.preprocessed / COSTS_FILE).read_text())
    assert record["cases"] == 10
    assert record["throughput"] is None
    planned = record["configurations"]["2d"]
    assert planned["preprocessed"] == bytes_of(trained.preprocessed / "MedTPlans_2d")
    folders = [trained.workspace.results / DATASET_NAME / MODEL / f"fold_{fold}" for fold in (0, 1)]
    kept = sum(file.stat().st_size for folder in folders for file in folder.glob("checkpoint_*.pth"))
    assert planned["checkpoints"] * 2 / 5 == pytest.approx(kept, rel=0.1)
    # Images of 64 × 96, two classes, in half precision.
    assert planned["probabilities"] == 10 * np.zeros((2, 1, 64, 96), np.float16).nbytes
    there = bytes_of(trained.workspace.raw) + bytes_of(trained.preprocessed)
    assert record["bytes"]["raw_and_preprocessed"] == pytest.approx(there, rel=0.02)


def test_the_moments_of_every_optimizer_are_known() -> None:
    assert set(MOMENTS) == set(typing.get_args(Optimizer))


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_planned_with_its_costs(converted: Drawn, tmp_path: Path, preset: str) -> None:
    again = converted.copy(tmp_path / "again")
    summary = plan_and_preprocess(DATASET_ID, again.workspace.activate(), "cpu", preset=preset, quiet=True)
    assert summary.costs == json.loads((again.preprocessed / COSTS_FILE).read_text())
    assert summary.costs["configurations"]["2d"]["checkpoints"] > 0
