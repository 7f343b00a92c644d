"""What a user sets in place of the planner: `--set patch_size=256,384 --set batch_size=8`, checked and typed."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from medt_pipeline.core.errors import UserError
from medt_pipeline.planning.architectures import UNETS
from medt_pipeline.planning.presets import (
    LEAST_SIDE,
    ArchitectureName,
    Augmentation,
    ConfigurationName,
    Form,
    LearningRateSchedule,
    Loss,
    Optimizer,
    Preset,
    contradictions,
    limits_of,
    most_epochs,
    unworkable,
)
from medt_pipeline.planning.rules.modality import Modality
from medt_pipeline.planning.schema import Key, frozen, inner_kind, keys_of, unknown_key, within

Scheme = Literal["RGBTo01Normalization", "RescaleTo01Normalization", "ZScoreNormalization", "NoNormalization"]
"""nnU-Net's classes that need no fingerprint of their own."""

NOTHING = "none"
"""Typed for null and for an empty list."""

WITH_GRID = ("MedT", "LoGo")
"""Architectures whose patch is cut into a grid."""
WITHOUT_FORM = ("MedT-S", "MedT-M", "MedT-L", *UNETS)
"""Architectures whose attention has one form, or that have none."""


def _like_preset(name: str) -> Any:
    """A field that is not set unless given, within the limits of the preset's key of this name."""
    return field(default=None, metadata=limits_of(name))


@dataclass(frozen=True)
class Overrides:
    """Values that a user set; None: not set, the planner decides.

    Those named as in `Preset` replace the preset's and mean the same.

    Attributes:
        patch_size: (height, width) in pixels at the target resolution.
        reduction: original pixels for one at the target resolution.
        iterations_per_epoch: training steps an epoch.
        normalization: class of nnU-Net for each channel; one stands for all channels.
        modality: as `choose_modality` would say.
        mirror_axes: 0: up and down, 1: left and right; () is none.
    """

    patch_size: tuple[int, int] | None = field(default=None, metadata=within(LEAST_SIDE))
    reduction: float | None = field(default=None, metadata=within(1))
    batch_size: int | None = _like_preset("batch_size")
    epochs: int | None = _like_preset("epochs")
    iterations_per_epoch: int | None = field(default=None, metadata=within(1))
    passes_over_data: float | None = _like_preset("passes_over_data")
    learning_rate: float | None = _like_preset("learning_rate")
    weight_decay: float | None = _like_preset("weight_decay")
    warmup_epochs: int | None = _like_preset("warmup_epochs")
    gates_fixed_epochs: int | None = _like_preset("gates_fixed_epochs")
    folds: int | None = _like_preset("folds")
    normalization: tuple[Scheme, ...] | None = None
    modality: Modality | None = None
    mirror_axes: tuple[int, ...] | None = field(default=None, metadata=within(0, 1, distinct=True))
    architecture: ArchitectureName | None = None
    fixed_patch_size: tuple[int, int] | None = _like_preset("fixed_patch_size")
    optimizer: Optimizer | None = None
    loss: Loss | None = None
    augmentation: Augmentation | None = None
    form: Form | None = None
    configurations: tuple[ConfigurationName, ...] | None = _like_preset("configurations")
    deep_supervision: bool | None = None
    foreground_oversampling: float | None = _like_preset("foreground_oversampling")
    batch_dice: bool | None = None
    schedule: LearningRateSchedule | None = None

    def given(self) -> dict[str, Any]:
        """What was set, by name; {} where nothing was."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def applied_to(self, preset: Preset) -> Preset:
        """`preset` with what was set of its keys, and what depends on them derived again.

        Other `epochs` change the epochs of warm-up and fixed gates in proportion; a key of `EXCLUSIVE` that the preset
        has gives way to the one that was set.

        Raises:
            UserError: the result contradicts itself.
        """
        given, names = self.given(), keys_of(Preset)
        derived: dict[str, Any] = {one: None for one, other, _ in EXCLUSIVE if other in given}
        if self.epochs is not None:
            for name in ("warmup_epochs", "gates_fixed_epochs"):
                derived[name] = int(getattr(preset, name) * self.epochs / preset.epochs)
        chosen = {name: value for name, value in given.items() if name in names}
        changed = dataclasses.replace(preset, **{**derived, **chosen})
        _refuse(contradictions(changed))
        return changed


def parse_overrides(assignments: Iterable[str]) -> Overrides:
    """Overrides from texts such as "patch_size=256,384", "learning_rate=1e-3", "mirror_axes=none".

    Lists are separated by commas.

    Raises:
        UserError: a text is no assignment, a key is unknown or set twice, a value has a wrong type or is out of range,
            or values contradict each other; all are named, each with what is allowed or the rule that it breaks.
    """
    keys = keys_of(Overrides)
    texts, wrong = _split(assignments, keys)
    values: dict[str, Any] = {}
    for name, text in texts.items():
        value = parse_text(keys[name].kind, text)
        if keys[name].wrong(value):
            wrong.append(_must_be(keys[name], text))
        else:
            values[name] = frozen(value)
    overrides = Overrides(**values)
    _refuse(wrong + contradictory(overrides))
    return overrides


def parse_text(kind: Any, text: str) -> Any:
    """`text` as JSON would hold a value of `kind`; the text itself where it cannot be read as one."""
    kind, _ = inner_kind(kind)
    text = text.strip()
    if typing.get_origin(kind) is tuple:
        entries = [] if text.lower() == NOTHING else text.split(",")
        return [parse_text(typing.get_args(kind)[0], entry) for entry in entries]
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def contradictory(overrides: Overrides) -> list[str]:
    """A sentence for each rule that `overrides` break together; empty where they break none."""
    given = overrides.given()
    found = [
        f"`{one}` and `{other}` exclude each other: {rule}"
        for one, other, rule in EXCLUSIVE
        if one in given and other in given
    ]
    sizes = {"patch_size": overrides.patch_size, "fixed_patch_size": overrides.fixed_patch_size}
    found += [] if overrides.architecture is None else architecture_rules(overrides.architecture, sizes)
    if overrides.epochs is not None:
        for name, most in most_epochs(overrides.epochs).items():
            if given.get(name, 0) > most:
                found.append(f"`{name}` must be at most {most} with {overrides.epochs} `epochs`, got {given[name]}")
    if overrides.architecture in WITHOUT_FORM and overrides.form is not None:
        found.append(f"`form` is that of the published networks, which {overrides.architecture} is not")
    return found


EXCLUSIVE = (
    ("passes_over_data", "iterations_per_epoch", "both set the number of training steps"),
    ("fixed_patch_size", "patch_size", "every image is resized to the fixed size, which then is the patch"),
    ("fixed_patch_size", "reduction", "every image is resized to the fixed size, whatever its own"),
)
"""A key of the preset, one that cannot stand beside it, and the rule that both together break."""


def architecture_rules(architecture: str, sizes: Mapping[str, tuple[int, int] | None]) -> list[str]:
    """A sentence for each of `sizes`, by the key that set it, for which the architecture cannot be made."""
    if architecture not in WITH_GRID:
        return []
    return [line for name, size in sizes.items() if size is not None for line in unworkable(size, name)]


def _split(assignments: Iterable[str], keys: Mapping[str, Key]) -> tuple[dict[str, str], list[str]]:
    """Text by key, and a sentence for each that is no assignment, unknown or set twice."""
    texts: dict[str, str] = {}
    wrong = []
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not equals or not name:
            wrong.append(f"'{assignment}' must be KEY=VALUE, such as batch_size=8")
        elif name not in keys:
            wrong.append(unknown_key(name, keys))
        elif name in texts:
            wrong.append(f"`{name}` is set twice, to '{texts[name]}' and '{text}'; keep one")
        else:
            texts[name] = text
    return texts, wrong


def _must_be(key: Key, text: str) -> str:
    words = Key(key.name, inner_kind(key.kind)[0], key.limits, key.required).words()
    return f"`{key.name}` must be {words}, got '{text}'"


def _refuse(wrong: list[str]) -> None:
    if wrong:
        lines = "".join(f"\n  - {line}." for line in wrong)
        raise UserError(f"{len(wrong)} thing{'s' if len(wrong) > 1 else ''} to mend in what --set says:{lines}")
