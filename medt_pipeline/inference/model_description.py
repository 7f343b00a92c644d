"""What a model file says of itself, as text for people and as JSON for programs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.fingerprint.plain import to_plain
from medt_pipeline.inference.model_file import ModelFile, printable

WIDTH = 100


def as_json(file: ModelFile) -> dict[str, Any]:
    """Everything that is known without the weights.

    Raises:
        UserError: a member has other bytes than the manifest says.
    """
    for name in file.manifest["files"]:
        file.content_of(name)
    return {
        "file": file.path.name,
        "checksum": file.checksum,
        "format": file.manifest["format"],
        "name": file.dataset_name,
        "written_with": file.manifest.get("written_with"),
        "networks": [one.to_json() for one in file.networks],
        "recipe": to_plain(file.recipe.to_json()),
        "selected_by_medt_find_best": file.selected,
        "dataset": file.dataset_json,
        "plans": file.plans,
        "training_data": file.description,
        "scores": file.scores,
        "scores_of": file.scores_of,
        "licence": file.licence,
        "files": file.manifest["files"],
    }


def as_text(file: ModelFile) -> str:
    """The same for people, a screen long.

    Raises:
        UserError: as `as_json`, or the file's facts have another form.
    """
    content = as_json(file)
    try:
        lines = [line for part in (_what, _images, _quality, _recipe, _checks) for line in part(file, content)]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(f"{file.path} is not what medt_export writes ({type(error).__name__}: {error}).") from None
    return printable("\n".join(lines))


def _what(file: ModelFile, content: Mapping[str, Any]) -> Iterator[str]:
    labels = ", ".join(f"{name}={value}" for name, value in file.dataset_json["labels"].items())
    description = file.dataset_json.get("description")
    yield f"{file.path.name}: {file.dataset_name}" + (f" ({description})" if description else "")
    yield f"  labels: {labels}"
    versions = content["written_with"] or {}
    yield f"  written with: {', '.join(f'{name} {version}' for name, version in versions.items())}"
    terms = file.licence or "none given: ask who made it before you use it"
    yield from textwrap.wrap(f"licence: {terms}", WIDTH, initial_indent="  ", subsequent_indent="    ")[:6]


def _images(file: ModelFile, content: Mapping[str, Any]) -> Iterator[str]:
    known = file.description
    channels = ", ".join(file.dataset_json["channel_names"].values())
    yield "made for"
    if not known:
        yield f"  images of {len(file.dataset_json['channel_names'])} channels ({channels}); no more is known of them"
        return
    gray = known["gray_case_share"]
    colours = {0.0: "coloured", 1.0: "gray"}.get(gray, f"{gray:.0%} gray")
    yield f"  {known['modality'] or 'unknown modality'}, channels {channels}, {colours}"
    sizes = ", ".join(f"{one['height_px']} × {one['width_px']} ({one['cases']})" for one in known["sizes"][:4])
    yield f"  sizes in pixels, height × width (images): {sizes}{', …' if len(known['sizes']) > 4 else ''}"
    pixel = known["pixel_size"]
    size = f"{pixel['y_um']:g} × {pixel['x_um']:g} µm, median" if pixel else "not recorded"
    yield f"  size of a pixel: {size}"
    groups = known["groups"]
    yield f"  trained on {known['cases']} images of {groups['fold_groups']} groups (patients, where they were known)"


def _quality(file: ModelFile, content: Mapping[str, Any]) -> Iterator[str]:
    yield "how good"
    score = file.scores
    if score is None:
        yield "  not known: no held-out cases were scored"
        return
    yield f"  on {score['images']} held-out images of {score['groups']} groups; 95 % intervals over groups"
    yield f"  all classes: Dice {_interval(score['mean_dice'])}, IoU {_interval(score['mean_iou'])}"
    if len(score["by_class"]) > 1:
        for label, one in score["by_class"].items():
            yield f"  {label}: Dice {_interval(one['dice'])}, IoU {_interval(one['iou'])}"
    yield f"  {file.scores_of}"
    quality = file.recipe.quality
    if quality is not None and math.isfinite(quality.error):
        yield f"  the Dice that it estimates for a new mask was off by {quality.error:.3f} on average"


def _interval(record: Mapping[str, Any]) -> str:
    value, low, high = (record[key] for key in ("value", "low", "high"))
    if value is None:
        return "undefined"
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else " [no interval]")


def _recipe(file: ModelFile, content: Mapping[str, Any]) -> Iterator[str]:
    yield f"recipe{', chosen by medt_find_best' if file.selected else ''}"
    for member in file.recipe.members:
        settings = file.plans["configurations"][member.configuration]
        network = settings["architecture"]["network_class_name"].rpartition(".")[2]
        size = settings["architecture"]["arch_kwargs"].get("size")
        stored = [one for one in file.networks if one.configuration == member.configuration]
        patch = " × ".join(map(str, settings["patch_size"]))
        yield (
            f"  {member.configuration}, weight {member.weight:.2g}: {network}{f'-{size}' if size else ''}, "
            f"folds {', '.join(map(str, member.folds))}, {stored[0].parameters / 1e6:.2f} million parameters each, "
            f"patches of {patch}, {', '.join(dict.fromkeys(settings['normalization_schemes']))}"
        )
    steps = file.recipe.postprocessing
    names = [f"{one.name} (label {value})" for value, chain in steps.steps.items() for one in chain]
    names += [f"splitting of objects (label {value})" for value in steps.splitting]
    names += [f"smoothing by {steps.smoothing:g} px"] if steps.smoothing else []
    yield f"  post-processing: {', '.join(names) or 'none'}"


def _checks(file: ModelFile, content: Mapping[str, Any]) -> Iterator[str]:
    yield "checks"
    yield f"  all {len(content['files'])} members and the file as a whole are as their checksums say"
    yield f"  SHA-256 {file.checksum}: compare it with what its maker tells you"
