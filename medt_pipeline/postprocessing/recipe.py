"""The recipe of post-processing: what is done to each class, in files and on label maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import ndimage

from medt_pipeline.core.errors import UserError
from medt_pipeline.postprocessing.splitting import Splitting, split_objects
from medt_pipeline.postprocessing.steps import STEPS, Step

VERSION = 1
LARGEST_SMOOTHING = 100.0
MOST_STEPS = 100


@dataclass(frozen=True)
class PostProcessing:
    """What is done to a prediction.

    Attributes:
        smoothing: standard deviation in pixels of the Gaussian over the probabilities of all classes; 0 for none.
        steps: steps by label value, in their order.
        splitting: how objects are split, by label value; classes that are missing are not split.

    Raises:
        ValueError: the smoothing is out of range.
    """

    smoothing: float = 0.0
    steps: Mapping[int, tuple[Step, ...]] = field(default_factory=lambda: MappingProxyType({}))
    splitting: Mapping[int, Splitting] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= LARGEST_SMOOTHING:
            raise ValueError(f"smoothing must lie between 0 and {LARGEST_SMOOTHING:g}, got {self.smoothing}")

    def with_step(self, value: int, step: Step) -> PostProcessing:
        """The same with one more step for a class."""
        steps = {**self.steps, value: (*self.steps.get(value, ()), step)}
        return PostProcessing(self.smoothing, steps, self.splitting)

    def to_json(self) -> dict[str, Any]:
        """As `read_recipe` reads it."""
        values = sorted({*self.steps, *self.splitting})
        return {
            "version": VERSION,
            "smoothing_px": self.smoothing,
            "classes": {
                str(value): {
                    "steps": [_step_to_json(step) for step in self.steps.get(value, ())],
                    "splitting": _splitting_to_json(self.splitting.get(value)),
                }
                for value in values
            },
        }


def apply(recipe: PostProcessing, label_map: np.ndarray, probabilities: np.ndarray | None = None) -> np.ndarray:
    """The label map after smoothing and steps; the arguments are left alone.

    Classes are worked on one after another in the order of their values. What a class gives up becomes background, and
    what it gains it takes from background only, never from another class.

    Args:
        label_map: (H, W) integers.
        probabilities: (classes, H, W), one plane a label value from 0 on; needed for smoothing alone.

    Raises:
        ValueError: the recipe smooths and there are no probabilities, or their size is another.
    """
    labels = label_map.copy()
    if recipe.smoothing:
        if probabilities is None:
            raise ValueError("the recipe smooths probabilities, but none are given")
        if probabilities.shape[1:] != label_map.shape:
            raise ValueError(f"label map has the shape {label_map.shape}, probabilities {probabilities.shape}")
        labels[...] = smooth_probabilities(probabilities, recipe.smoothing)
    for value in sorted(recipe.steps):
        for step in recipe.steps[value]:
            labels = apply_step(labels, value, step)
    return labels


def apply_step(label_map: np.ndarray, value: int, step: Step) -> np.ndarray:
    """The label map after one step on one class, by the rule of `apply`."""
    before = label_map == value
    after = step(before)
    labels = label_map.copy()
    labels[before & ~after] = 0
    labels[after & (label_map == 0)] = value
    return labels


def smooth_probabilities(probabilities: np.ndarray, sigma: float) -> np.ndarray:
    """Label map (H, W) of the most probable class after a Gaussian over each plane of (classes, H, W) probabilities."""
    planes = (ndimage.gaussian_filter(plane.astype(np.float32), sigma, mode="nearest") for plane in probabilities)
    return np.stack(list(planes)).argmax(0)


def object_map(recipe: PostProcessing, label_map: np.ndarray, values: Iterable[int]) -> np.ndarray:
    """Instance map (H, W) of the classes `values` of a label map after `apply`.

    Numbers 1, 2, … run through all classes, in the order of `values`. Objects of classes without splitting are
    8-connected components.
    """
    objects = np.zeros(label_map.shape, np.int32)
    for value in values:
        own = split_objects(label_map == value, recipe.splitting.get(value))
        objects = np.where(own > 0, own + objects.max(), objects)
    return objects


def read_recipe(content: Any, source: str) -> PostProcessing:
    """Check and read what `to_json` wrote.

    Args:
        content: parsed JSON, from anywhere.
        source: its name for messages.

    Raises:
        UserError: anything in it is missing, unknown or out of range.
    """
    try:
        _require_keys(content, {"version", "smoothing_px", "classes"}, "the recipe")
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']!r} is not known, only {VERSION}")
        classes = {_label_value(value): _read_class(one) for value, one in content["classes"].items()}
        return PostProcessing(
            _number(content["smoothing_px"], "smoothing_px"),
            {value: steps for value, (steps, _) in classes.items() if steps},
            {value: splitting for value, (_, splitting) in classes.items() if splitting is not None},
        )
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(
            f"The post-processing in {source} cannot be used ({error}); find the best model again."
        ) from None


def _read_class(content: Any) -> tuple[tuple[Step, ...], Splitting | None]:
    _require_keys(content, {"steps", "splitting"}, "a class")
    if not isinstance(content["steps"], list) or len(content["steps"]) > MOST_STEPS:
        raise ValueError(f"steps must be a list of at most {MOST_STEPS}")
    return tuple(_read_step(step) for step in content["steps"]), _read_splitting(content["splitting"])


def _read_step(content: Any) -> Step:
    if not isinstance(content, dict) or not isinstance(content.get("step"), str) or content["step"] not in STEPS:
        raise ValueError(f"there is no such step as {content!r}")
    name = content["step"]
    parameter = STEPS[name].parameter
    _require_keys(content, {"step", parameter} - {""}, name)
    return Step(name, _number(content[parameter], parameter) if parameter else 0.0)


def _read_splitting(content: Any) -> Splitting | None:
    if content is None:
        return None
    _require_keys(content, {"depth_px", "smoothing_px"}, "splitting")
    return Splitting(_number(content["depth_px"], "depth_px"), _number(content["smoothing_px"], "smoothing_px"))


def _step_to_json(step: Step) -> dict[str, Any]:
    parameter = STEPS[step.name].parameter
    return {"step": step.name, **({parameter: step.amount} if parameter else {})}


def _splitting_to_json(splitting: Splitting | None) -> dict[str, float] | None:
    return None if splitting is None else {"depth_px": splitting.depth, "smoothing_px": splitting.smoothing}


def _require_keys(content: Any, keys: set[str], what: str) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{what} must be an object, got {content!r}")
    if set(content) != keys:
        raise ValueError(f"{what} must have the keys {', '.join(sorted(keys))}, got {', '.join(map(str, content))}")


def _label_value(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise ValueError(f"{text!r} is no label value")
    return int(text)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return float(value)
