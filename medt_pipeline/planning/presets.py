"""Presets: the numbers that planning rules start from, as JSON files in `plans/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from typing import Any, Literal

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.planning.schema import frozen, mistakes, within

DeviceKind = Literal["cpu", "gpu"]
Optimizer = Literal["AdamW", "Adam", "SGD"]
Loss = Literal["dice_ce", "ce"]
Augmentation = Literal["auto", "nnunet", "flips_horizontal"]
Form = Literal["formula", "published"]
LearningRateSchedule = Literal["poly", "constant"]
ArchitectureName = Literal[
    "MedT-S", "MedT-M", "MedT-L", "MedT", "LoGo", "GatedAxialUNet", "AxialUNet", "UNet", "ResEncUNet"
]
ConfigurationName = Literal["2d", "2d_whole", "2d_unet"]

LEAST_SIDE = 16
"""Shortest side of a patch: `MIN_SIDE` of network/topology.py, which is not imported with this module."""


@dataclass(frozen=True)
class Preset:
    """Numbers that the rules start from. Keys with a default may be left out of the file.

    Attributes:
        patch_pixels: pixels of a patch that a device of this kind trains in acceptable time.
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
        learning_rate: of the optimizer after warm-up.
        weight_decay: of the optimizer.
        warmup_epochs: epochs over which the learning rate rises.
        gates_fixed_epochs: epochs before the gates are trained (published: 10).
        passes_over_data: how often training sees every case; None: steps by the rule of the square root. A number
            replaces it, and with it `steps_for_100_cases`, `min_steps` and `max_steps`.
        fixed_patch_size: (height, width) to which every image is resized whatever its aspect, as in the paper; replaces
            `patch_pixels` and `max_reduction`. None: size and resolution by their rule.
        optimizer: "SGD" is nnU-Net's, with Nesterov momentum 0.99.
        loss: "dice_ce" is nnU-Net's sum of soft Dice and cross-entropy, "ce" the cross-entropy alone.
        augmentation: "auto" adds what suits the modality to nnU-Net's; "flips_horizontal" mirrors left and right only.
        architecture: network of the configurations `2d` and `2d_whole`; None: by its rule.
        form: of the published networks' attention: as the paper's formula says, or as the published code computes it.
        configurations: which the planner may propose; it leaves out those that are pointless for a data set.
        deep_supervision: losses at lower resolutions too, for networks that have outputs there; None: by its rule.
        foreground_oversampling: share of a batch whose patches must show a class, 0 to 1; None: by its rule.
        batch_dice: count the pixels of a batch together in the Dice loss, not patch by patch; None: by its rule.
        schedule: "poly": the learning rate falls to 0 by nnU-Net's polynomial; "constant": it stays.
    """

    patch_pixels: Mapping[DeviceKind, int] = field(metadata=within(LEAST_SIDE**2))
    max_reduction: float = field(metadata=within(1))
    folds: int = field(metadata=within(2))
    batch_size: int = field(metadata=within(1))
    max_share_of_pixels_per_step: float = field(metadata=within(0, 1, above=True))
    steps_for_100_cases: int = field(metadata=within(1))
    min_steps: int = field(metadata=within(1))
    max_steps: int = field(metadata=within(1))
    epochs: int = field(metadata=within(1))
    learning_rate: float = field(metadata=within(0, 1, above=True))
    weight_decay: float = field(metadata=within(0, 1))
    warmup_epochs: int = field(metadata=within(0))
    gates_fixed_epochs: int = field(metadata=within(0))
    passes_over_data: float | None = field(default=None, metadata=within(0, above=True))
    fixed_patch_size: tuple[int, int] | None = field(default=None, metadata=within(LEAST_SIDE))
    optimizer: Optimizer = "AdamW"
    loss: Loss = "dice_ce"
    augmentation: Augmentation = "auto"
    architecture: ArchitectureName | None = None
    form: Form = "formula"
    configurations: tuple[ConfigurationName, ...] = field(
        default=("2d", "2d_whole", "2d_unet"), metadata=within(distinct=True)
    )
    deep_supervision: bool | None = None
    foreground_oversampling: float | None = field(default=None, metadata=within(0, 1))
    batch_dice: bool | None = None
    schedule: LearningRateSchedule = "poly"


def preset_names() -> list[str]:
    """Names of the presets in `plans/`, sorted."""
    folder = resources.files("medt_pipeline.plans")
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def load_preset(name: str) -> Preset:
    """Load the preset `name`.

    Raises:
        UserError: there is none of this name, or its file is not a preset; every mistake in it is named.
    """
    known = preset_names()
    if name not in known:
        raise UserError(f"There is no preset {name!r}; choose one of: {', '.join(known)}.")
    with resources.as_file(resources.files("medt_pipeline.plans") / f"{name}.json") as file:
        return preset_from(read_json(file), f"{name}.json")


def preset_from(content: Any, source: str) -> Preset:
    """The preset that a JSON file holds.

    Args:
        content: of the file.
        source: what the message calls it.

    Raises:
        UserError: keys are unknown or missing, or values have a wrong type, are out of range or contradict each other;
            all are named, each with what is allowed.
    """
    wrong = mistakes(Preset, content)
    if not wrong:
        preset = Preset(**{name: frozen(value) for name, value in content.items()})
        wrong = contradictions(preset)
        if not wrong:
            return preset
    lines = "".join(f"\n  - {line}." for line in wrong)
    raise UserError(f"{source} is not a preset; {len(wrong)} thing{'s' if len(wrong) > 1 else ''} to mend:{lines}")


def limits_of(name: str) -> dict[str, Any]:
    """Metadata of a field that has the limits of the preset's key of this name."""
    return dict(next(one.metadata for one in fields(Preset) if one.name == name))


def most_epochs(epochs: int) -> dict[str, int]:
    """The most epochs that keys may count of a training of `epochs`, by key."""
    return {"warmup_epochs": epochs - 1, "gates_fixed_epochs": epochs}


def contradictions(preset: Preset) -> list[str]:
    """Sentences on values that are allowed one by one but not together; empty where there are none."""
    found = []
    if preset.min_steps > preset.max_steps:
        found.append(f"`min_steps` must be at most `max_steps` ({preset.max_steps}), got {preset.min_steps}")
    for name, most in most_epochs(preset.epochs).items():
        value = getattr(preset, name)
        if value > most:
            found.append(f"`{name}` must be at most {most}, as there are {preset.epochs} `epochs`, got {value}")
    if not preset.configurations:
        found.append("`configurations` must name one at least")
    if preset.fixed_patch_size is not None:
        found += unworkable(preset.fixed_patch_size, "fixed_patch_size")
    return found


def unworkable(size: tuple[int, int], key: str) -> list[str]:
    """The sentence on a patch of `size` for which there is no Medical Transformer; empty where there is one."""
    # The rule itself needs no torch, but importing its room does, for which a preset's reader need not wait.
    from medt_pipeline.network.topology import logo_topology

    try:
        logo_topology(size)
    except UserError as error:
        return [f"`{key}` breaks the rule topology.logo_topology: {str(error).rstrip('.')}"]
    return []
