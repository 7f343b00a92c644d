"""Scores of a folder of predictions against a folder of references."""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.image_scores import ImagePair, ImageScores, Wanted, score_image
from medt_pipeline.evaluation.label_maps import find_label_maps, read_label_map, values_in
from medt_pipeline.evaluation.labels import Labels, declared_labels, found_labels, make_labels
from medt_pipeline.evaluation.options import DEFAULT, EvaluationOptions, Tolerance, Unit
from medt_pipeline.evaluation.scores import OBJECT_SCORES, PIXEL_SCORES, SURFACE_SCORES, Scores
from medt_pipeline.evaluation.summary import ClassScores, OverClasses, summarise
from medt_pipeline.evaluation.surroundings import Surroundings, look_around, tolerance_of

NAMES_IN_MESSAGES = 5
MOST_THREADS = 16


@dataclass(frozen=True)
class Setting:
    """By which measures a folder was scored.

    Attributes:
        scores: names of the scores that were asked for, in the order of `Scores`.
        unit: of distances.
        tolerance: of the surface Dice.
        groups: number of groups (patients) over which intervals are taken.
        groups_from: where they come from.
        objects: what objects are; None where they are not scored.
        without_objects: why they are not scored; "" where they are or nobody asked.
        published_size: height and width of the published protocol; None where it was not asked for.
    """

    scores: tuple[str, ...]
    unit: Unit
    tolerance: Tolerance
    groups: int
    groups_from: str
    objects: str | None
    without_objects: str
    published_size: int | None


@dataclass(frozen=True)
class FolderScores:
    """All scores of a folder.

    Attributes:
        setting: what was scored, and how.
        images: one entry an image and class, in the order of names, then of label values.
        classes: one entry a class, background left out.
        over_classes: means over the classes with their intervals; classes without a defined score are left out.
        missing: references without a prediction, which no score contains.
        without_reference: predictions that nothing could be compared with.
    """

    reference: Path
    predictions: Path
    labels: Labels
    setting: Setting
    images: tuple[ImageScores, ...]
    classes: tuple[ClassScores, ...]
    over_classes: OverClasses
    missing: tuple[str, ...]
    without_reference: tuple[str, ...]

    @property
    def mean(self) -> Scores:
        """Mean over the classes of their means over images."""
        return self.over_classes.mean

    @property
    def pooled(self) -> Scores:
        """Mean over the classes of their pooled scores."""
        return self.over_classes.pooled

    @property
    def image_names(self) -> list[str]:
        """Names of the scored images, sorted."""
        return sorted({row.image for row in self.images})


@dataclass(frozen=True)
class _Pairing:
    pairs: dict[str, tuple[Path, Path]]
    missing: tuple[str, ...]
    without_reference: tuple[str, ...]


def evaluate_folder(
    reference: Path,
    predictions: Path,
    labels: dict[str, int] | None = None,
    allow_missing: bool = False,
    only: Collection[str] | None = None,
    options: EvaluationOptions = DEFAULT,
    dataset_folder: Path | None = None,
) -> FolderScores:
    """Score every reference against the prediction of the same stem; the endings may differ.

    Args:
        reference: folder of ground truth label maps (png, bmp, tif, nii, nii.gz or mha).
        predictions: folder of predicted label maps of the same sizes in pixels.
        labels: value by class name, "ignore" as in nnU-Net; None: those of a dataset.json in `predictions`, in
            `reference` or above it, else every value found.
        allow_missing: leave references without a prediction out of the scores and list them, instead of refusing.
        only: names of the images to score, as if the folders held no others; None: all.
        options: what to score, and how.
        dataset_folder: raw data set with medt_cases.json (patients, sizes of pixels) and instance maps; None: the
            folder that holds `reference`.

    Raises:
        UserError: a folder is missing or empty; references lack predictions; sizes differ; values are not declared;
            or what `read_label_map` and `look_around` refuse.
    """
    if reference.resolve() == predictions.resolve():
        raise UserError(f"{reference} was given as reference and as predictions; it would score 1 against itself.")
    pairing = _pair(reference, predictions, allow_missing, only)
    known = make_labels(labels, "--labels") if labels is not None else declared_labels(reference, predictions)
    known = known or _labels_in(pairing)
    around = look_around(pairing.pairs, reference, predictions, options, dataset_folder)
    rows = _score_all(pairing, known, around, options)
    classes, over_classes = summarise(rows, known.foreground)
    return FolderScores(
        reference=reference,
        predictions=predictions,
        labels=known,
        setting=_setting(around, options),
        images=tuple(rows),
        classes=classes,
        over_classes=over_classes,
        missing=pairing.missing,
        without_reference=pairing.without_reference,
    )


def _score_all(
    pairing: _Pairing, labels: Labels, around: Surroundings, options: EvaluationOptions
) -> list[ImageScores]:
    """Rows of all images; reading, trees and counting leave Python's lock most of the time, so threads do."""

    def score(name: str) -> list[ImageScores]:
        spacing = around.spacing[name]
        tolerance = tolerance_of(options.tolerance, around.unit, spacing) if options.surface else None
        wanted = Wanted(tolerance, around.objects_from is not None, options.published_size)
        return score_image(_read_pair(name, pairing, labels, around), labels, wanted)

    threads = options.threads or min(os.cpu_count() or 1, MOST_THREADS)
    with ThreadPoolExecutor(threads) as pool:
        return [row for rows in pool.map(score, pairing.pairs) for row in rows]


def _setting(around: Surroundings, options: EvaluationOptions) -> Setting:
    return Setting(
        scores=(
            *PIXEL_SCORES,
            *(SURFACE_SCORES if options.surface else ()),
            *(OBJECT_SCORES if around.objects_from is not None else ()),
        ),
        unit=around.unit,
        tolerance=options.tolerance,
        groups=len(set(around.groups.values())),
        groups_from=around.groups_from,
        objects=around.objects_from,
        without_objects=around.without_objects,
        published_size=options.published_size,
    )


def _pair(reference: Path, predictions: Path, allow_missing: bool, only: Collection[str] | None) -> _Pairing:
    references, predicted = find_label_maps(reference, "references"), find_label_maps(predictions, "predictions")
    if only is not None:
        references, predicted = (
            {name: path for name, path in found.items() if name in only} for found in (references, predicted)
        )
    pairs = {name: (path, predicted[name]) for name, path in references.items() if name in predicted}
    missing = tuple(name for name in references if name not in predicted)
    if not pairs:
        raise UserError(
            f"No file in {reference} has the name of one in {predictions} (for example {missing[0]} against "
            f"{next(iter(predicted))}); name both alike, but for the ending."
        )
    if missing and not allow_missing:
        raise UserError(
            f"{len(missing)} of {len(references)} references have no prediction in {predictions} "
            f"({list_names(missing)}); predict them, or score the others with --allow-missing."
        )
    return _Pairing(pairs, missing, tuple(name for name in predicted if name not in references))


def list_names(names: tuple[str, ...]) -> str:
    """The first few of `names` for a message, with "…" where some were left out."""
    return ", ".join([*names[:NAMES_IN_MESSAGES], *(["…"] if len(names) > NAMES_IN_MESSAGES else [])])


def _labels_in(pairing: _Pairing) -> Labels:
    values: tuple[set[int], set[int]] = (set(), set())
    for pair in pairing.pairs.values():
        for seen, path in zip(values, pair, strict=True):
            seen.update(values_in(read_label_map(path)))
    return found_labels(*values)


def _read_pair(name: str, pairing: _Pairing, labels: Labels, around: Surroundings) -> ImagePair:
    paths = pairing.pairs[name]
    reference, prediction = (_read_declared(path, labels) for path in paths)
    _require_size(reference, paths[0], prediction, paths[1])
    objects: list[np.ndarray | None] = []
    for maps in (around.reference_objects, around.predicted_objects):
        one = None if maps is None else read_label_map(maps[name])
        if maps is not None and one is not None:
            _require_size(reference, paths[0], one, maps[name])
            if one.min() < 0:
                raise UserError(f"{maps[name]} holds negative numbers; objects are numbered from 1, and 0 is none.")
        objects.append(one)
    return ImagePair(name, around.groups[name], reference, prediction, around.spacing[name], *objects)


def _require_size(reference: np.ndarray, reference_file: Path, other: np.ndarray, other_file: Path) -> None:
    if reference.shape != other.shape:
        raise UserError(
            f"{reference_file} has {_size(reference)} pixels but {other_file} has {_size(other)}; "
            "score at the size of the reference."
        )


def _read_declared(path: Path, labels: Labels) -> np.ndarray:
    label_map = read_label_map(path)
    unknown = labels.unknown(values_in(label_map))
    if unknown:
        values = list_names(tuple(str(value) for value in unknown))
        raise UserError(
            f"{path} holds the values {values}, but {labels.source} declares {labels}; score against the labels that "
            "medt_convert wrote, or declare all values with --labels name=value,…."
        )
    return label_map


def _size(label_map: np.ndarray) -> str:
    return f"{label_map.shape[0]} × {label_map.shape[1]}"
