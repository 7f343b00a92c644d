"""Scores of a folder of predictions against a folder of references."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.label_maps import find_label_maps, read_label_map
from medt_pipeline.evaluation.labels import Labels, declared_labels, found_labels, make_labels
from medt_pipeline.evaluation.metrics import (
    Case,
    Counts,
    Scores,
    add_counts,
    all_scores,
    count_pixels,
    empty_case,
    mean_scores,
)

NAMES_IN_MESSAGES = 5


@dataclass(frozen=True)
class ImageScores:
    """One class in one image."""

    image: str
    label: str
    counts: Counts
    scores: Scores
    case: Case


@dataclass(frozen=True)
class ClassScores:
    """One class over all scored images.

    Attributes:
        mean: means over images. Dice and IoU leave out the images of case "neither", precision those and the misses,
            recall those and the false alarms.
        pooled: scores of `counts`, the pixels of all images summed.
        cases: number of images by case; they add up to the number of images.
    """

    label: str
    value: int
    mean: Scores
    pooled: Scores
    counts: Counts
    cases: dict[Case, int]


@dataclass(frozen=True)
class FolderScores:
    """All scores of a folder.

    Attributes:
        images: one entry an image and class, in the order of names, then of label values.
        classes: one entry a class, background left out.
        mean: mean over the classes of their `mean`; classes without a defined score are left out.
        pooled: mean over the classes of their `pooled`.
        missing: references without a prediction, which no score contains.
        without_reference: predictions that nothing could be compared with.
    """

    reference: Path
    predictions: Path
    labels: Labels
    images: tuple[ImageScores, ...]
    classes: tuple[ClassScores, ...]
    mean: Scores
    pooled: Scores
    missing: tuple[str, ...]
    without_reference: tuple[str, ...]

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
) -> FolderScores:
    """Score every reference against the prediction of the same stem; the endings may differ.

    Args:
        reference: folder of ground truth label maps (png, bmp, tif, nii, nii.gz or mha).
        predictions: folder of predicted label maps of the same sizes in pixels.
        labels: value by class name, "ignore" as in nnU-Net; None: those of a dataset.json in `predictions`, in
            `reference` or above it, else every value found.
        allow_missing: leave references without a prediction out of the scores and list them, instead of refusing.
        only: names of the images to score, as if the folders held no others; None: all.

    Raises:
        UserError: a folder is missing or empty; references lack predictions; sizes differ; values are not declared;
            or what `read_label_map` refuses.
    """
    if reference.resolve() == predictions.resolve():
        raise UserError(f"{reference} was given as reference and as predictions; it would score 1 against itself.")
    pairing = _pair(reference, predictions, allow_missing, only)
    known = make_labels(labels, "--labels") if labels is not None else declared_labels(reference, predictions)
    known = known or _labels_in(pairing)
    rows = [row for name, pair in pairing.pairs.items() for row in _score_image(name, pair, known)]
    classes = tuple(_summarise(rows, label, value) for label, value in known.foreground.items())
    return FolderScores(
        reference=reference,
        predictions=predictions,
        labels=known,
        images=tuple(rows),
        classes=classes,
        mean=mean_scores(one.mean for one in classes),
        pooled=mean_scores(one.pooled for one in classes),
        missing=pairing.missing,
        without_reference=pairing.without_reference,
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
            seen.update(np.unique(read_label_map(path)).tolist())
    return found_labels(*values)


def _score_image(name: str, pair: tuple[Path, Path], labels: Labels) -> list[ImageScores]:
    reference, prediction = (_read_declared(path, labels) for path in pair)
    if reference.shape != prediction.shape:
        raise UserError(
            f"{pair[0]} has {_size(reference)} pixels but {pair[1]} has {_size(prediction)}; "
            "score at the size of the reference."
        )
    if labels.ignore is not None:
        scored = reference != labels.ignore
        reference, prediction = reference[scored], prediction[scored]
    rows = []
    for label, value in labels.foreground.items():
        counts = count_pixels(reference, prediction, value)
        rows.append(ImageScores(name, label, counts, all_scores(counts), empty_case(counts)))
    return rows


def _read_declared(path: Path, labels: Labels) -> np.ndarray:
    label_map = read_label_map(path)
    unknown = labels.unknown(np.unique(label_map).tolist())
    if unknown:
        values = list_names(tuple(str(value) for value in unknown))
        raise UserError(
            f"{path} holds the values {values}, but {labels.source} declares {labels}; score against the labels that "
            "medt_convert wrote, or declare all values with --labels name=value,…."
        )
    return label_map


def _size(label_map: np.ndarray) -> str:
    return f"{label_map.shape[0]} × {label_map.shape[1]}"


def _summarise(rows: list[ImageScores], label: str, value: int) -> ClassScores:
    own = [row for row in rows if row.label == label]
    counts = add_counts(row.counts for row in own)
    cases: dict[Case, int] = {"both": 0, "neither": 0, "false alarm": 0, "miss": 0}
    for row in own:
        cases[row.case] += 1
    return ClassScores(label, value, mean_scores(row.scores for row in own), all_scores(counts), counts, cases)
