"""Plans that a user edited by hand: what depends on an edit is derived again, what contradicts itself is refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from medt_pipeline.core.errors import UserError, reason_of
from medt_pipeline.core.files import read_json
from medt_pipeline.planning.architectures import ARCHITECTURES, UNETS, NetworkOptions
from medt_pipeline.planning.memory_model import estimate_configuration_memory
from medt_pipeline.planning.overrides import Scheme, architecture_rules
from medt_pipeline.planning.preprocessing import changed_files, how_preprocessed, preprocessing_record
from medt_pipeline.planning.presets import LEAST_SIDE, ArchitectureName, most_epochs
from medt_pipeline.planning.rules.batch_size import MIN_BATCH_SIZE
from medt_pipeline.planning.rules.schedule import Schedule
from medt_pipeline.planning.schema import Key, Limits, mistakes

EDITABLE = (
    Key("batch_size", int, Limits(1), True),
    Key("patch_size", tuple[int, int], Limits(LEAST_SIDE), True),
    Key("spacing", tuple[float, float], Limits(0, above=True), True),
    Key("normalization_schemes", tuple[Scheme, ...], Limits(), True),
)
"""Keys of a configuration that are checked; those of its schedule are checked as `Schedule` says."""


def consistent(plans: Mapping[str, Any], configuration: str, source: str) -> dict[str, Any]:
    """The plans with what depends on the patch of `configuration` derived again.

    Args:
        plans: content of a plans file.
        configuration: name of one of its configurations.
        source: what messages call the file.

    Raises:
        UserError: values have a wrong type, are out of range or contradict each other; all are named.
    """
    try:
        settings = PlansManager(dict(plans)).get_configuration(configuration).configuration
    # nnU-Net follows `inherits_from` where it leads.
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise UserError(
            f"Configuration {configuration!r} of {source} cannot be resolved ({reason_of(error)}); mend it."
        ) from None
    wrong = [line for key in EDITABLE for line in key.wrong(settings.get(key.name))]
    schedule = settings.get("medt", {}).get("schedule")
    wrong += [] if schedule is None else mistakes(Schedule, schedule)
    name = _architecture_name(settings["architecture"])
    if not wrong:
        wrong = _contradictions(settings, schedule, name)
    if wrong:
        lines = "".join(f"\n  - {line}." for line in wrong)
        things = f"{len(wrong)} thing{'s' if len(wrong) > 1 else ''}"
        raise UserError(f"{things} to mend in configuration {configuration!r} of {source}:{lines}")
    derived = copy.deepcopy(dict(plans))
    if name is not None:
        derived["configurations"][configuration]["architecture"] = _derived_architecture(settings, name)
    return derived


def require_preprocessed(folder: Path, settings: ConfigurationManager, dataset_id: int) -> None:
    """Check that the arrays in `folder` are whole and were made as the plan says now.

    Raises:
        UserError: they are missing, damaged or were made otherwise.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is missing; run medt_plan_and_preprocess -d {dataset_id} again.")
    record = preprocessing_record(folder)
    made, planned = read_json(record) if record.exists() else {}, how_preprocessed(settings)
    different = [
        f"{key} {made[key]} instead of {planned[key]}" for key in planned if made.get(key, planned[key]) != planned[key]
    ]
    if different:
        raise UserError(
            f"{folder} was preprocessed with {', '.join(different)}, which the plan says now; "
            f"run medt_plan_and_preprocess -d {dataset_id} --keep-plans."
        )
    damaged = changed_files(folder, made)
    if damaged:
        raise UserError(
            f"{len(damaged)} files in {folder} are missing or damaged, the first is {damaged[0]}; "
            f"run medt_plan_and_preprocess -d {dataset_id} --keep-plans."
        )


def require_memory(plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any]) -> None:
    """Check that a step of `configuration` fits into the memory for which the plans were made.

    Raises:
        UserError: it does not.
    """
    memory = next((one for one in plans["medt"]["decisions"] if one["name"] == "memory"), None)
    if memory is None:
        return
    settings = PlansManager(dict(plans)).get_configuration(configuration).configuration
    patch_size, batch = tuple(settings["patch_size"]), settings["batch_size"]
    kind = memory["facts"]["device_kind"]
    needed = estimate_configuration_memory(plans, configuration, dataset_json, kind, MIN_BATCH_SIZE)
    fitting = needed.largest_batch(memory["value"] * 1e9)
    if batch > fitting:
        raise UserError(
            f"Configuration {configuration!r} breaks the rule memory.choose_memory: {batch} patches a step, where "
            f"{memory['value']:g} GB train at most {fitting} of {patch_size[0]} × {patch_size[1]}; lower batch_size or "
            "patch_size, or plan with more --memory."
        )


def _architecture_name(architecture: Mapping[str, Any]) -> ArchitectureName | None:
    """Name of the network in our table; None for one of the user's own, which is left alone."""
    by_class = {one.class_name: name for name, one in ARCHITECTURES.items()}
    return by_class.get(architecture["network_class_name"])


def _contradictions(
    settings: Mapping[str, Any], schedule: Mapping[str, Any] | None, name: ArchitectureName | None
) -> list[str]:
    found = [] if name is None else architecture_rules(name, {"patch_size": tuple(settings["patch_size"])})
    if schedule is None:
        return found
    for key, most in most_epochs(schedule["epochs"]).items():
        if schedule[key] > most:
            found.append(f"`{key}` must be at most {most} with {schedule['epochs']} `epochs`")
    return found


def _derived_architecture(settings: Mapping[str, Any], name: ArchitectureName) -> dict[str, Any]:
    """The network for the patch as it is now; what a user edited of the network itself stays."""
    patch_size, given = tuple(settings["patch_size"]), settings["architecture"]
    if name in UNETS:
        halved = [math.prod(strides) for strides in zip(*given["arch_kwargs"]["strides"], strict=True)]
        if all(side % factor == 0 for side, factor in zip(patch_size, halved, strict=True)):
            return dict(given)
        supervision = bool(given["arch_kwargs"].get("deep_supervision"))
        return ARCHITECTURES[name].plan(patch_size, NetworkOptions(deep_supervision=supervision))
    return {**given, "arch_kwargs": {**given["arch_kwargs"], "image_size": list(patch_size)}}
