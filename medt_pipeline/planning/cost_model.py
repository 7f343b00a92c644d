"""What training and predicting by a plan will take: hours of the device, and bytes of the disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from medt_pipeline.fingerprint.case_facts import CaseFacts
from medt_pipeline.planning.memory_model import COPIES_OF_PARAMETERS, TrainingMemory, Work
from medt_pipeline.planning.presets import Optimizer

COSTS_FILE = "medt_costs.json"
TILE_STEP = 0.5
"""Of a patch, by which nnU-Net's sliding window moves."""
KEPT_CHECKPOINTS = 2
"""Of a trained fold: the final and the best one; checkpoint_latest.pth is the final one's before the end."""
MOMENTS: Mapping[Optimizer, int] = {"AdamW": 2, "Adam": 2, "SGD": 1}
"""Numbers that an optimizer keeps for each weight."""
REACHED = 2 / 3
"""Share of the measured throughput that trainings reach: 0.8 in steps alone on a quiet core, 0.67 on a busy one, the
same for MedT-M and for nnU-Net's U-Net of 32 to 512 features; 0.61 in a training with all that belongs to it. Not
measured on GPUs."""
REPEATS = 5
"""Of a measurement, of which the fastest counts."""


@dataclass(frozen=True)
class Throughput:
    """What a device that does nothing else does in a second.

    Attributes:
        operations: floating-point operations of a convolution.
        traffic: bytes read and written where two tensors are added.
    """

    operations: float
    traffic: float

    def hours(self, work: Work) -> float:
        """About how long work takes: its operations and its traffic, one after the other."""
        return (work.operations / self.operations + work.traffic / self.traffic) / REACHED / 3600


@dataclass(frozen=True)
class Cost:
    """What a configuration takes.

    Attributes:
        steps_of_fold: training steps.
        fold: work of training one fold: its steps, the batches that are validated, and the held-out cases.
        folds: trainings of the cross-validation.
        images: work of predicting 1,000 images of median size with one fold's network.
        preprocessed: bytes of the arrays of all cases.
        checkpoints: bytes of the trained folds.
        probabilities: bytes that the class probabilities of all held-out cases have; on the disk they are compressed.
    """

    steps_of_fold: int
    fold: Work
    folds: int
    images: Work
    preprocessed: int
    checkpoints: int
    probabilities: int


def measure_throughput(device: torch.device) -> Throughput:
    """Measure it in a tenth of a second or so: a convolution of 64 channels, and a sum of two tensors of 32 MB.

    On CUDA in half precision, in which training there computes.
    """
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    with torch.no_grad():
        convolution = torch.nn.Conv2d(64, 64, 3, padding=1, device=device, dtype=dtype)
        x = torch.ones(4, 64, 64, 64, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        a = torch.ones(2**23, device=device)
        total = torch.empty_like(a)
        of_convolution = _fastest(lambda: convolution(x), device)
        of_sum = _fastest(lambda: torch.add(a, a, out=total), device)
    return Throughput(2 * 9 * 64 * x.numel() / of_convolution, 3 * a.nbytes / of_sum)


def estimate_cost(
    configuration: Mapping[str, Any],
    step: TrainingMemory,
    cases: Mapping[str, CaseFacts],
    folds: int,
    classes: int,
    preprocessed: int,
) -> Cost:
    """What a configuration takes.

    Args:
        configuration: its entry in the plans file.
        step: of a batch of any size of its patch.
        cases: that are trained on.
        folds: of the cross-validation.
        classes: with the background.
        preprocessed: bytes of the arrays.
    """
    schedule = configuration["medt"]["schedule"]
    image = step.forward.times(patches_of_image(configuration) / step.batch_size)
    batches = configuration["batch_size"] / step.batch_size
    steps = schedule["epochs"] * schedule["iterations_per_epoch"]
    validated = schedule["epochs"] * schedule["validation_iterations_per_epoch"]
    parts = (
        step.step.times(steps * batches),
        step.forward.times(validated * batches),
        image.times(len(cases) / max(folds, 1)),
    )
    fold = Work(sum(part.operations for part in parts), sum(part.traffic for part in parts))
    weights = step.parameters // COPIES_OF_PARAMETERS
    checkpoints = folds * KEPT_CHECKPOINTS * weights * (1 + MOMENTS[schedule["optimizer"]])
    pixels = sum(facts.size.height_px * facts.size.width_px for facts in cases.values())
    return Cost(steps, fold, folds, image.times(1000), preprocessed, checkpoints, 2 * classes * pixels)


def patches_of_image(configuration: Mapping[str, Any]) -> int:
    """Patches that the network sees of an image of median size, each mirror image of a patch counted too."""
    sizes = zip(configuration["median_image_size_in_voxels"], configuration["patch_size"], strict=True)
    tiles = [1 + max(math.ceil((image - patch) / (TILE_STEP * patch)), 0) for image, patch in sizes]
    policy = configuration["medt"].get("augmentation")
    axes = 2 if policy is None else len(policy["mirror_axes"])
    return math.prod(tiles) * 2**axes


def costs_of_plan(
    plans: Mapping[str, Any],
    steps: Mapping[tuple[int, int], TrainingMemory],
    cases: Mapping[str, CaseFacts],
    folds: int,
    classes: int,
    preprocessed: Path,
) -> dict[str, Cost]:
    """The costs of the configurations that have a patch of their own, by name.

    Args:
        plans: content of the plans file.
        steps: by patch size.
        cases: that are trained on.
        folds: of the cross-validation.
        classes: with the background.
        preprocessed: the data set's folder there.
    """
    found = {}
    for name in ("2d", "2d_whole"):
        if name in plans["configurations"]:
            settings = plans["configurations"][name]
            arrays = bytes_of(preprocessed / settings["data_identifier"])
            height, width = settings["patch_size"]
            found[name] = estimate_cost(settings, steps[height, width], cases, folds, classes, arrays)
    return found


def cost_record(costs: Mapping[str, Cost], throughput: Throughput | None, cases: int, stored: int) -> dict[str, Any]:
    """The content of `COSTS_FILE`.

    Args:
        costs: by configuration.
        throughput: of the device; None where it was not measured, and then no hours are told.
        cases: that are trained on.
        stored: bytes of raw and preprocessed data.
    """
    results = sum(cost.checkpoints + cost.probabilities for cost in costs.values())
    return {
        "cases": cases,
        "throughput": None if throughput is None else asdict(throughput),
        "configurations": {
            name: {**asdict(cost), "hours": None if throughput is None else _hours(cost, throughput)}
            for name, cost in costs.items()
        },
        "bytes": {"raw_and_preprocessed": stored, "results": results, "workspace": stored + results},
    }


def _hours(cost: Cost, throughput: Throughput) -> dict[str, float]:
    fold, images = throughput.hours(cost.fold), throughput.hours(cost.images)
    return {
        "fold": fold,
        "all_folds": cost.folds * fold,
        "1000_images_one_fold": images,
        "1000_images_all_folds": cost.folds * images,
    }


def cost_sentences(record: Mapping[str, Any]) -> list[str]:
    """What a cost record says, for people; numbers with two digits, because they are estimates."""
    lines = []
    for name, cost in record["configurations"].items():
        hours = cost["hours"]
        if hours is not None:
            lines.append(
                f"{name}: a fold about {_readable_hours(hours['fold'])} of this device, all {cost['folds']} about "
                f"{_readable_hours(hours['all_folds'])}; 1,000 images about "
                f"{_readable_hours(hours['1000_images_all_folds'])} with all folds."
            )
        lines.append(
            f"{name}: {_readable_bytes(cost['preprocessed'])} of arrays, about {_readable_bytes(cost['checkpoints'])} "
            f"of checkpoints, at most {_readable_bytes(cost['probabilities'])} of held-out probabilities."
        )
    return [*lines, f"The workspace with all of it: about {_readable_bytes(record['bytes']['workspace'])}."]


def bytes_of(folder: Path) -> int:
    """Bytes of all files in and below a folder; 0 where there is none."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of some calls, the first of which may be one that prepares.

    On a CPU those that its cores were at work, so that what else the machine does at the moment does not count.
    """
    on_cpu = device.type == "cpu"
    clock, at_once = (time.process_time, torch.get_num_threads()) if on_cpu else (time.perf_counter, 1)
    found = []
    for _ in range(REPEATS):
        _wait_for(device)
        began = clock()
        work()
        _wait_for(device)
        found.append((clock() - began) / at_once)
    return min(found)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _readable_hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{_two_digits(3600 * hours)} s"
    return f"{_two_digits(60 * hours)} min" if hours < 1 else f"{_two_digits(hours)} h"


def _readable_bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{_two_digits(size)} {unit}"
        size /= 1000
    return f"{_two_digits(size)} TB"


def _two_digits(value: float) -> str:
    return f"{round(value, 1 - math.floor(math.log10(value))):g}" if value > 0 else "0"
