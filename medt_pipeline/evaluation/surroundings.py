"""What is known of the images beside their masks: patients, sizes of pixels, instance maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.cases import CASES_FILE, Case, read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.pixel_size_of_files import read_pixel_size
from medt_pipeline.core.slices import MEDICAL_ENDINGS
from medt_pipeline.evaluation.label_maps import find_label_maps
from medt_pipeline.evaluation.options import EvaluationOptions, Tolerance, Unit

PREDICTED_OBJECTS = "instances"
"""Folder among predictions that holds predicted instance maps."""

_UM_PER_MM = 1000.0


@dataclass(frozen=True)
class Surroundings:
    """What is known of the scored images.

    Attributes:
        groups: patient of every image.
        groups_from: where that comes from, as a sentence's end.
        unit: mm where the size of a pixel is known of every image.
        spacing: height and width of a pixel of every image in that unit.
        reference_objects: instance map by image; None: connected components.
        predicted_objects: the same for predictions.
        objects_from: what objects are, as a sentence's end; None where they are not scored.
        without_objects: why not, "" where it was not asked for.
    """

    groups: dict[str, str]
    groups_from: str
    unit: Unit
    spacing: dict[str, tuple[float, float]]
    reference_objects: dict[str, Path] | None
    predicted_objects: dict[str, Path] | None
    objects_from: str | None
    without_objects: str = ""


def look_around(
    pairs: Mapping[str, tuple[Path, Path]],
    reference: Path,
    predictions: Path,
    options: EvaluationOptions,
    dataset_folder: Path | None,
) -> Surroundings:
    """Find what is known of the images in `pairs`, which are paths of reference and prediction by name.

    Args:
        reference: folder of the references.
        predictions: folder of the predictions.
        options: what was asked for or declared.
        dataset_folder: raw data set folder with medt_cases.json and instances…; None: the one that holds `reference`.

    Raises:
        UserError: a table is broken, a folder that was named is missing or lacks maps, or a folder holds two files of
            one case.
    """
    folder = dataset_folder or reference.absolute().parent
    cases = read_cases(folder)
    groups, groups_from = _find_groups(pairs, cases, folder, options)
    sizes = _find_pixel_sizes(pairs, cases, options)
    unit: Unit = "mm" if len(sizes) == len(pairs) else "px"
    spacing = {name: sizes[name] if unit == "mm" else (1.0, 1.0) for name in pairs}
    found = _find_objects(pairs, reference, predictions, folder, options)
    return Surroundings(groups, groups_from, unit, spacing, *found)


def tolerance_of(tolerance: Tolerance, unit: Unit, spacing: tuple[float, float]) -> float:
    """The tolerance in `unit` for an image of this spacing; pixels count by the geometric mean of height and width.

    Raises:
        UserError: it is in mm, but distances are in pixels.
    """
    if tolerance.unit == unit:
        return tolerance.value
    if tolerance.unit == "mm":
        raise UserError(
            f"The tolerance of {tolerance} needs the size of a pixel of every image, which is not known; give it with "
            "--pixel-size, or the tolerance in px."
        )
    return float(tolerance.value * (spacing[0] * spacing[1]) ** 0.5)


def _find_groups(
    names: Collection[str], cases: Mapping[str, Case], folder: Path, options: EvaluationOptions
) -> tuple[dict[str, str], str]:
    if options.groups is not None:
        missing = [name for name in names if name not in options.groups]
        if missing:
            raise UserError(f"No group was given for {missing[0]}; every scored image needs one.")
        return {name: options.groups[name] for name in names}, "as given"
    groups = {name: cases[name].group if name in cases else name for name in names}
    if all(name == group for name, group in groups.items()):
        return groups, "no groups are known, so every image is its own"
    return groups, f"from {folder / CASES_FILE}"


def _find_pixel_sizes(
    pairs: Mapping[str, tuple[Path, Path]], cases: Mapping[str, Case], options: EvaluationOptions
) -> dict[str, tuple[float, float]]:
    """Height and width of a pixel in mm of those images of which they are known."""
    sizes = {}
    for name, (reference, _) in pairs.items():
        known = cases[name].pixel_size_um if name in cases else None
        if options.pixel_size_mm is not None:
            sizes[name] = options.pixel_size_mm
        elif known is not None:
            sizes[name] = (known[0] / _UM_PER_MM, known[1] / _UM_PER_MM)
        # Pictures of labels are written by programs that know no size; the medical formats mean what they say.
        elif reference.name.lower().endswith(MEDICAL_ENDINGS) and (read := read_pixel_size(reference)):
            sizes[name] = (read.y_um / _UM_PER_MM, read.x_um / _UM_PER_MM)
    return sizes


def _find_objects(
    names: Collection[str], reference: Path, predictions: Path, folder: Path, options: EvaluationOptions
) -> tuple[dict[str, Path] | None, dict[str, Path] | None, str | None, str]:
    """Instance maps of references and predictions, what objects are, and why there are none."""
    references, what = None, "8-connected components of the reference"
    if options.instances == "none":
        return None, None, None, ""
    if options.instances != "components":
        named = options.instances != "auto"
        maps = Path(options.instances) if named else _instances_beside(reference, folder)
        if not named and not maps.is_dir():
            return None, None, None, ""
        found = find_label_maps(maps, "instance maps")
        missing = [name for name in names if name not in found]
        if missing:
            reason = f"{len(missing)} of {len(names)} images have no instance map in {maps} (for example {missing[0]})"
            if named:
                raise UserError(f"{reason}; score objects as --instances components, or complete the folder.")
            return None, None, None, reason
        references, what = {name: found[name] for name in names}, f"instance maps in {maps}"
    predicted, predicted_what = _find_predicted(names, predictions, options)
    return references, predicted, f"{what} against {predicted_what}", ""


def _instances_beside(reference: Path, folder: Path) -> Path:
    """instancesTs beside labelsTs; instancesTr for references that lie elsewhere."""
    name = reference.absolute().name
    return folder / (name.replace("labels", "instances", 1) if name.startswith("labels") else "instancesTr")


def _find_predicted(
    names: Collection[str], predictions: Path, options: EvaluationOptions
) -> tuple[dict[str, Path] | None, str]:
    folder = options.predicted_instances or predictions / PREDICTED_OBJECTS
    if options.predicted_instances is None and not folder.is_dir():
        return None, "8-connected components of the prediction"
    found = find_label_maps(folder, "predicted instance maps")
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(names)} images have no predicted instance map in {folder} (for example "
            f"{missing[0]}); complete the folder or remove it."
        )
    return {name: found[name] for name in names}, f"those in {folder}"
