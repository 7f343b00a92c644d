"""Scores of one image: every class, in pixels, outlines and objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medt_pipeline.evaluation.labels import BACKGROUND, Labels
from medt_pipeline.evaluation.metrics import Case, Counts, count_pixels, empty_case
from medt_pipeline.evaluation.object_metrics import ObjectSums, connected_objects, sum_objects
from medt_pipeline.evaluation.published_protocol import count_published_pixels
from medt_pipeline.evaluation.scores import NAN, Scores, scores_of_sums
from medt_pipeline.evaluation.surface_metrics import SurfaceSums, hausdorff_95, sum_surface, surface_distances


@dataclass(frozen=True)
class ImagePair:
    """A reference and a prediction of one image.

    Attributes:
        image: its name.
        group: its patient.
        reference: (H, W) label map.
        prediction: (H, W) label map.
        spacing: height and width of a pixel, in the unit in which distances shall be.
        reference_objects: (H, W) instance map; None: connected components of each class.
        predicted_objects: (H, W) instance map; None: connected components of each class.
    """

    image: str
    group: str
    reference: np.ndarray
    prediction: np.ndarray
    spacing: tuple[float, float] = (1.0, 1.0)
    reference_objects: np.ndarray | None = None
    predicted_objects: np.ndarray | None = None


@dataclass(frozen=True)
class Wanted:
    """Which scores are wanted beside those of pixels.

    Attributes:
        tolerance: of the surface Dice, in the unit of the spacing; None: no distances.
        objects: also scores of objects.
        published_size: also counts by the published protocol.
    """

    tolerance: float | None = None
    objects: bool = False
    published_size: int | None = None


@dataclass(frozen=True)
class ImageScores:
    """One class in one image.

    Attributes:
        case: which of the two masks is empty.
        published: counts by the published protocol, None where it was not asked for.
    """

    image: str
    group: str
    label: str
    case: Case
    scores: Scores
    counts: Counts
    surface: SurfaceSums | None = None
    objects: ObjectSums | None = None
    published: Counts | None = None


def score_image(pair: ImagePair, labels: Labels, wanted: Wanted = Wanted()) -> list[ImageScores]:
    """Scores of every class of `labels`, in their order.

    Pixels that the reference marks as ignored are in no count; outlines and objects are taken as if they were
    background on both sides.
    """
    reference, prediction = pair.reference, pair.prediction
    if labels.ignore is not None:
        ignored = reference == labels.ignore
        reference, prediction = (np.where(ignored, BACKGROUND, one) for one in (reference, prediction))
        unseen = int(np.count_nonzero(ignored))
    else:
        unseen = 0
    rows = []
    for label, value in labels.foreground.items():
        counts = count_pixels(reference, prediction, value)
        counts = counts._replace(tn=counts.tn - unseen)
        hd95, surface = _score_surface(pair, reference == value, prediction == value, wanted)
        objects = _score_objects(pair, reference == value, prediction == value, wanted)
        scores = scores_of_sums(counts, surface, objects, hd95)
        size = wanted.published_size
        published = None if size is None else count_published_pixels(reference, prediction, value, size)
        case = empty_case(counts)
        rows.append(ImageScores(pair.image, pair.group, label, case, scores, counts, surface, objects, published))
    return rows


def _score_surface(
    pair: ImagePair, reference: np.ndarray, prediction: np.ndarray, wanted: Wanted
) -> tuple[float, SurfaceSums | None]:
    if wanted.tolerance is None:
        return NAN, None
    distances = surface_distances(reference, prediction, pair.spacing)
    return hausdorff_95(distances), sum_surface(distances, wanted.tolerance)


def _score_objects(pair: ImagePair, reference: np.ndarray, prediction: np.ndarray, wanted: Wanted) -> ObjectSums | None:
    if not wanted.objects:
        return None
    one, other = (
        connected_objects(mask) if objects is None else np.where(mask, objects, 0)
        for mask, objects in ((reference, pair.reference_objects), (prediction, pair.predicted_objects))
    )
    return sum_objects(one, other, pair.spacing)
