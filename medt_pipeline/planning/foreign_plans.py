"""Plans from others: their parts are named by dotted paths, which nnU-Net imports, so only known names may pass."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.planning.architectures import ARCHITECTURES, IMPORTED
from medt_pipeline.planning.edited import EDITABLE
from medt_pipeline.planning.overrides import Scheme

PARTS = (
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.instancenorm.InstanceNorm2d",
    "torch.nn.LeakyReLU",
)
"""What the networks of our plans import."""
CLASSES = {
    "image_reader_writer": ("NaturalImage2DIO", "SimpleITKIO", "NibabelIO", "Tiff3DIO"),
    "label_manager": ("LabelManager",),
}
"""Names of nnU-Net's classes in a plan that we write."""
RESAMPLING = "resample_data_or_seg_to_shape"
RESAMPLING_ARGUMENTS = ("is_seg", "order", "order_z", "force_separate_z")
LARGEST_SIDE = 16384
"""Of a patch."""
LARGEST_PIXEL_UM = 10_000.0
LARGEST_ARGUMENT = 16384
"""Of the numbers that describe a network: widths, depths, sides of the image."""


def require_known_parts(plans: Any, configuration: str, source: str) -> None:
    """Check that a plan from others names nothing but what our planner writes.

    Args:
        plans: parsed JSON.
        configuration: the one that is to be used, without `inherits_from`.
        source: its name for messages.

    Raises:
        UserError: anything else is in it; the first thing is named.
    """
    try:
        wrong = next(_wrong_in_plans(plans, configuration), None)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        wrong = f"it is no plan ({type(error).__name__}: {error})"
    if wrong is not None:
        raise UserError(f"The plan in {source} cannot be used: {wrong}.")


def _wrong_in_plans(plans: Mapping[str, Any], configuration: str) -> Iterator[str]:
    for key, known in CLASSES.items():
        if plans[key] not in known:
            yield f"`{key}` must be one of {', '.join(known)}, got {plans[key]!r}"
    if plans["transpose_forward"] != [0, 1, 2] or plans["transpose_backward"] != [0, 1, 2]:
        yield "its axes are turned, which 2D plans do not do"
    pixel = plans.get("medt", {}).get("pixel_size_um")
    if pixel is not None and not (len(pixel) == 2 and all(0 < float(side) <= LARGEST_PIXEL_UM for side in pixel)):
        yield f"`pixel_size_um` must be two sizes of at most {LARGEST_PIXEL_UM} µm, got {pixel!r}"
    settings = plans["configurations"][configuration]
    if "inherits_from" in settings:
        yield f"the configuration {configuration!r} does not stand alone"
    if settings["preprocessor_name"] != "DefaultPreprocessor":
        yield f"`preprocessor_name` must be DefaultPreprocessor, got {settings['preprocessor_name']!r}"
    yield from (line for key in EDITABLE for line in key.wrong(settings[key.name]))
    if max(settings["patch_size"]) > LARGEST_SIDE:
        yield f"`patch_size` must be at most {LARGEST_SIDE} along both sides, got {settings['patch_size']}"
    if not set(settings["normalization_schemes"]) <= set(typing.get_args(Scheme)):
        yield "it has an unknown normalization"
    for name in ("data", "seg", "probabilities"):
        yield from _wrong_resampling(settings, f"resampling_fn_{name}")
    yield from _wrong_network(settings["architecture"])
    antialiased = settings.get("medt", {}).get("antialiased", False)
    if not isinstance(antialiased, bool):
        yield f"`antialiased` must be true or false, got {antialiased!r}"
    size = settings.get("medt", {}).get("fixed_size")
    if size is not None and not (len(size) == 2 and all(_is_count(side, LARGEST_SIDE) for side in size)):
        yield f"`fixed_size` must be two sides of at most {LARGEST_SIDE}, got {size!r}"


def _wrong_resampling(settings: Mapping[str, Any], key: str) -> Iterator[str]:
    if settings[key] != RESAMPLING:
        yield f"`{key}` must be {RESAMPLING}, got {settings[key]!r}"
    for name, value in settings[f"{key}_kwargs"].items():
        if name not in RESAMPLING_ARGUMENTS or not (value is None or (isinstance(value, int) and 0 <= value <= 5)):
            yield f"`{key}_kwargs` has {name!r}: {value!r}, which is unknown"


def _wrong_network(architecture: Mapping[str, Any]) -> Iterator[str]:
    known = sorted({one.class_name for one in ARCHITECTURES.values()})
    if architecture["network_class_name"] not in known:
        yield f"the network {architecture['network_class_name']!r} is unknown; known are {', '.join(known)}"
    imported, arguments = architecture["_kw_requires_import"], architecture["arch_kwargs"]
    for name in imported:
        if name not in IMPORTED or arguments[name] not in (None, *PARTS):
            yield f"the network's argument {name!r} would import {arguments.get(name)!r}, which is unknown"
    for name, value in arguments.items():
        if not all(_is_plain(one) for one in _leaves(value)):
            yield f"the network's argument {name!r} must hold numbers of at most {LARGEST_ARGUMENT} or short words"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _leaves(one)
    else:
        yield value


def _is_plain(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    return len(value) <= 100 if isinstance(value, str) else abs(value) <= LARGEST_ARGUMENT


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
