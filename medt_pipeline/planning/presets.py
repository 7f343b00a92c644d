"""Presets: the numbers that planning rules start from, as JSON files in `plans/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any, Literal

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json

DeviceKind = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Preset:
    """Numbers that the rules start from.

    Attributes:
        patch_pixels: pixels of a patch that a device of this kind trains in acceptable time.
        memory_gb: memory for training, where the user names none.
        max_reduction: how much smaller than the original images may be trained.
        folds: folds of the cross-validation.
        batch_size: patches a step.
        max_share_of_pixels_per_step: share of all pixels of the data set that one step may see. nnU-Net caps it at
            5 % for patches that are small parts of images; patches that show whole images need more than two for batch
            normalisation in sets of some dozen images.
        steps_for_100_cases: training steps for a set of 100 cases; grows with the square root of the cases.
        min_steps: fewest training steps.
        max_steps: most training steps.
        epochs: epochs into which the steps are divided; the learning rate falls by epoch.
        learning_rate: of AdamW after warm-up.
        weight_decay: of AdamW.
        warmup_epochs: epochs over which the learning rate rises.
        gates_fixed_epochs: epochs before the gates are trained (published: 10).
    """

    patch_pixels: Mapping[DeviceKind, int]
    memory_gb: Mapping[DeviceKind, float]
    max_reduction: float
    folds: int
    batch_size: int
    max_share_of_pixels_per_step: float
    steps_for_100_cases: int
    min_steps: int
    max_steps: int
    epochs: int
    learning_rate: float
    weight_decay: float
    warmup_epochs: int
    gates_fixed_epochs: int


def load_preset(name: str) -> Preset:
    """Load the preset `name`.

    Raises:
        UserError: there is none of this name, or its keys are not those of `Preset`.
    """
    folder = resources.files("medt_pipeline.plans")
    known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
    if name not in known:
        raise UserError(f"There is no preset {name!r}; choose one of: {', '.join(known)}.")
    with resources.as_file(folder / f"{name}.json") as file:
        content: dict[str, Any] = read_json(file)
    expected = {field.name for field in fields(Preset)}
    if set(content) != expected:
        wrong = ", ".join(sorted(set(content) ^ expected))
        raise UserError(f"The preset {name!r} has missing or unknown keys: {wrong}.")
    return Preset(**content)
