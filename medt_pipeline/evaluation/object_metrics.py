"""How well single objects (glands, nuclei) are found and outlined: the GlaS contest's scores, AJI, AJI+, DQ, SQ, PQ.

Objects are given as instance maps: (H, W) integers, 0 where there is no object, else the object's number. Partners are
found by overlap; on a tie the smallest number wins.

| objects of reference, prediction | F1, object Dice, AJI, AJI+, DQ, PQ | SQ                  | object Hausdorff |
|----------------------------------|------------------------------------|---------------------|------------------|
| some, some                       | defined                            | NaN if none matches | defined          |
| none, none                       | NaN                                | NaN                 | NaN              |
| some, none or none, some         | 0                                  | NaN                 | NaN              |

Sources: Sirinukunwattana et al. 2017 (GlaS contest: F1, object Dice, object Hausdorff) and the contest's program; Kumar
et al. 2017 (AJI); Graham et al. 2019 (AJI+); Kirillov et al. 2019 (DQ, SQ, PQ).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import relabel_sequential

from medt_pipeline.evaluation.metrics import ratio
from medt_pipeline.evaluation.object_distances import ObjectPixels, hausdorff_to_partners

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)
NO_PARTNER = -1
"""In place of the index of a pair or of an object; as an index it picks what `_with_default` has put last."""
MATCHED = 0.5
"""Share of a reference object (F1) or IoU (DQ, SQ, PQ) that must be exceeded; no object then has two partners."""


class ObjectSums(NamedTuple):
    """What adds up over images to pooled scores; n objects of the reference, m of the prediction. Areas are in pixels.

    Attributes:
        reference_objects: n.
        predicted_objects: m.
        found: predicted objects that cover more than half of their reference object.
        reference_area: of the n objects.
        predicted_area: of the m objects.
        reference_dice: sum over the n objects of area times Dice with the partner.
        predicted_dice: the same over the m objects.
        reference_measured: area of those of the n objects that have a Hausdorff distance: all, or none if m is 0.
        predicted_measured: the same over the m objects.
        reference_hausdorff: sum over the n objects of area times Hausdorff distance to the partner.
        predicted_hausdorff: the same over the m objects.
        aji_intersection: pixels that AJI counts as right.
        aji_union: pixels that it counts in all.
        aji_plus_intersection: the same for AJI+.
        aji_plus_union: the same for AJI+.
        matched: pairs with an IoU above a half.
        matched_iou: sum of their IoU.
    """

    reference_objects: int
    predicted_objects: int
    found: int
    reference_area: int
    predicted_area: int
    reference_dice: float
    predicted_dice: float
    reference_measured: int
    predicted_measured: int
    reference_hausdorff: float
    predicted_hausdorff: float
    aji_intersection: int
    aji_union: int
    aji_plus_intersection: int
    aji_plus_union: int
    matched: int
    matched_iou: float


class Overlaps(NamedTuple):
    """Which objects share pixels; objects are numbered from 0 here, pairs are sorted by reference, then prediction.

    Attributes:
        reference_areas: (n,) pixels.
        predicted_areas: (m,) pixels.
        reference: (p,) object of the reference of each overlapping pair.
        predicted: (p,) predicted object of each pair.
        area: (p,) pixels that the two share.
    """

    reference_areas: np.ndarray
    predicted_areas: np.ndarray
    reference: np.ndarray
    predicted: np.ndarray
    area: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """(p,) intersection over union of each pair."""
        return self.area / (self.reference_areas[self.reference] + self.predicted_areas[self.predicted] - self.area)


def connected_objects(mask: np.ndarray) -> np.ndarray:
    """Instance map of the 8-connected components of `mask`, (H, W) bool."""
    return ndimage.label(mask, EIGHT_CONNECTED)[0]


def sum_objects(
    reference: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0), distances: bool = True
) -> ObjectSums:
    """What the scores below need of one image.

    Args:
        reference: instance map (H, W).
        prediction: instance map of the same shape.
        spacing: height and width of a pixel; it sets the unit of the Hausdorff distances.
        distances: False leaves the Hausdorff distances out, which take most of the time; they are undefined then.

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"reference has the shape {reference.shape}, prediction {prediction.shape}")
    reference, prediction = (relabel_sequential(instances)[0] for instances in (reference, prediction))
    overlaps = find_overlaps(reference, prediction)
    matches = overlaps.iou > MATCHED
    return ObjectSums(
        reference_objects=len(overlaps.reference_areas),
        predicted_objects=len(overlaps.predicted_areas),
        found=_count_found(overlaps),
        reference_area=int(overlaps.reference_areas.sum()),
        predicted_area=int(overlaps.predicted_areas.sum()),
        **_weighted_dice(overlaps),
        **_weighted_hausdorff(reference, prediction, overlaps, spacing if distances else None),
        **_aji_pixels(overlaps),
        **_aji_plus_pixels(overlaps),
        matched=int(matches.sum()),
        matched_iou=float(overlaps.iou[matches].sum()),
    )


def object_f1(sums: ObjectSums) -> float:
    """The contest's F1: 2 TP / (n + m), where a predicted object is TP if it covers over half of its reference object.

    Its reference object is the one with which it shares most pixels. The contest's text says "at least 50 %", its
    program "more than", which is followed: a reference object is then found at most once. NaN without any object.
    """
    return ratio(2 * sums.found, sums.reference_objects + sums.predicted_objects)


def object_dice(sums: ObjectSums) -> float:
    """The contest's object Dice: ½ [Σ γᵢ Dice(Gᵢ, S*(Gᵢ)) + Σ σⱼ Dice(G*(Sⱼ), Sⱼ)].

    γ and σ are the objects' shares of the area of all objects of their side; * is the object of the other side with the
    largest overlap, and Dice is 0 where there is none. NaN if there are no objects at all.
    """
    both = np.add(sums.reference_area, sums.predicted_area)
    of_reference = ratio(sums.reference_dice, sums.reference_area)
    of_prediction = ratio(sums.predicted_dice, sums.predicted_area)
    return ratio((np.nan_to_num(of_reference) + np.nan_to_num(of_prediction)) / 2 * both, both)


def object_hausdorff(sums: ObjectSums) -> float:
    """The contest's object Hausdorff: ½ [Σ γᵢ H(Gᵢ, S*(Gᵢ)) + Σ σⱼ H(G*(Sⱼ), Sⱼ)], weights as in `object_dice`.

    H is the Hausdorff distance between the pixels of two objects; where nothing overlaps, * is the object with the
    smallest H. NaN if one side has no object.
    """
    of_reference = ratio(sums.reference_hausdorff, sums.reference_measured)
    return (of_reference + ratio(sums.predicted_hausdorff, sums.predicted_measured)) / 2


def aji(sums: ObjectSums) -> float:
    """Aggregated Jaccard index: Σ |Gᵢ ∩ S*(Gᵢ)| / (Σ |Gᵢ ∪ S*(Gᵢ)| + Σ over unused S of |S|).

    * is the predicted object of the largest IoU; one may serve several reference objects. NaN if there are no objects.
    """
    return ratio(sums.aji_intersection, sums.aji_union)


def aji_plus(sums: ObjectSums) -> float:
    """AJI with one-to-one partners, chosen to maximise the sum of their IoU; NaN if there are no objects."""
    return ratio(sums.aji_plus_intersection, sums.aji_plus_union)


def detection_quality(sums: ObjectSums) -> float:
    """DQ: 2 TP / (n + m), where a pair of IoU above a half is TP; NaN if there are no objects."""
    return ratio(2 * sums.matched, sums.reference_objects + sums.predicted_objects)


def segmentation_quality(sums: ObjectSums) -> float:
    """SQ: mean IoU of the pairs of IoU above a half; NaN if there are none."""
    return ratio(sums.matched_iou, sums.matched)


def panoptic_quality(sums: ObjectSums) -> float:
    """PQ: DQ × SQ, that is 2 Σ IoU / (n + m); 0 if nothing matches, NaN if there are no objects."""
    return ratio(2 * sums.matched_iou, sums.reference_objects + sums.predicted_objects)


def find_overlaps(reference: np.ndarray, prediction: np.ndarray) -> Overlaps:
    """Areas and overlaps of the objects of two instance maps numbered 1, 2, … without gaps."""
    areas = [np.bincount(one.ravel())[1:] for one in (reference, prediction)]
    both = (reference > 0) & (prediction > 0)
    width = len(areas[1]) + 1
    pairs, counts = np.unique(reference[both].astype(np.int64) * width + prediction[both], return_counts=True)
    return Overlaps(areas[0], areas[1], pairs // width - 1, pairs % width - 1, counts)


def _partners(own: np.ndarray, other: np.ndarray, worth: np.ndarray, count: int) -> np.ndarray:
    """(count,) index of the pair of largest `worth` of each object, the smallest `other` on a tie, else NO_PARTNER.

    Args:
        own: (p,) object of each pair.
        other: (p,) its partner.
        worth: (p,) what to maximise.
        count: number of objects.
    """
    order = np.lexsort((other, -worth, own))
    found, first = np.unique(own[order], return_index=True)
    partners = np.full(count, NO_PARTNER)
    partners[found] = order[first]
    return partners


def _largest_overlaps(overlaps: Overlaps) -> tuple[np.ndarray, np.ndarray]:
    """The pair of largest overlap of each reference object (n,) and of each predicted object (m,)."""
    one = _partners(overlaps.reference, overlaps.predicted, overlaps.area, len(overlaps.reference_areas))
    other = _partners(overlaps.predicted, overlaps.reference, overlaps.area, len(overlaps.predicted_areas))
    return one, other


def _count_found(overlaps: Overlaps) -> int:
    pairs = _largest_overlaps(overlaps)[1]
    pairs = pairs[pairs != NO_PARTNER]
    return int((overlaps.area[pairs] > MATCHED * overlaps.reference_areas[overlaps.reference[pairs]]).sum())


def _weighted_dice(overlaps: Overlaps) -> dict[str, Any]:
    areas = overlaps.reference_areas[overlaps.reference] + overlaps.predicted_areas[overlaps.predicted]
    dice = _with_default(2 * overlaps.area / areas, 0.0)
    of_reference, of_predicted = _largest_overlaps(overlaps)
    return {
        "reference_dice": float((dice[of_reference] * overlaps.reference_areas).sum()),
        "predicted_dice": float((dice[of_predicted] * overlaps.predicted_areas).sum()),
    }


def _weighted_hausdorff(
    reference: np.ndarray, prediction: np.ndarray, overlaps: Overlaps, spacing: tuple[float, float] | None
) -> dict[str, Any]:
    areas = (overlaps.reference_areas, overlaps.predicted_areas)
    names = ("reference_measured", "predicted_measured", "reference_hausdorff", "predicted_hausdorff")
    if spacing is None or not len(areas[0]) or not len(areas[1]):
        return dict.fromkeys(names, 0)
    own, others = ObjectPixels(reference, prediction, spacing), ObjectPixels(prediction, reference, spacing)
    of_reference, of_predicted = _largest_overlaps(overlaps)
    distances = (
        hausdorff_to_partners(own, others, _with_default(overlaps.predicted, NO_PARTNER)[of_reference]),
        hausdorff_to_partners(others, own, _with_default(overlaps.reference, NO_PARTNER)[of_predicted]),
    )
    sums = [float((area * distance).sum()) for area, distance in zip(areas, distances, strict=True)]
    return dict(zip(names, (int(areas[0].sum()), int(areas[1].sum()), *sums), strict=True))


def _with_default(of_pairs: np.ndarray, default: float) -> np.ndarray:
    """Values of pairs, with one more that the index NO_PARTNER (the last) picks."""
    return np.append(of_pairs, default)


def _aji_pixels(overlaps: Overlaps) -> dict[str, int]:
    pairs = _partners(overlaps.reference, overlaps.predicted, overlaps.iou, len(overlaps.reference_areas))
    intersection, union = _pixels_of_pairs(overlaps, pairs[pairs != NO_PARTNER])
    return {"aji_intersection": intersection, "aji_union": union}


def _aji_plus_pixels(overlaps: Overlaps) -> dict[str, int]:
    intersection, union = _pixels_of_pairs(overlaps, _assigned_pairs(overlaps))
    return {"aji_plus_intersection": intersection, "aji_plus_union": union}


def _pixels_of_pairs(overlaps: Overlaps, pairs: np.ndarray) -> tuple[int, int]:
    """Intersection and union over `pairs`, the union with the areas of all objects that are in no pair."""
    one, other = overlaps.reference[pairs], overlaps.predicted[pairs]
    intersection = int(overlaps.area[pairs].sum())
    union = int(overlaps.reference_areas[one].sum() + overlaps.predicted_areas[other].sum()) - intersection
    alone = np.delete(overlaps.reference_areas, one).sum() + np.delete(overlaps.predicted_areas, other).sum()
    return intersection, union + int(alone)


def _assigned_pairs(overlaps: Overlaps) -> np.ndarray:
    """Pairs that make the sum of IoU as large as possible with one partner an object.

    Objects that are not linked by overlaps do not compete, so each linked set is solved alone: small tables instead of
    one of all objects.
    """
    if not len(overlaps.area):
        return np.zeros(0, int)
    count = len(overlaps.reference_areas)
    size = count + len(overlaps.predicted_areas)
    links = coo_matrix((overlaps.area, (overlaps.reference, count + overlaps.predicted)), shape=(size, size))
    of_pair = connected_components(links, directed=False)[1][overlaps.reference]
    order = np.argsort(of_pair, kind="stable")
    sets = np.split(order, np.flatnonzero(np.diff(of_pair[order])) + 1)
    return np.concatenate([one if len(one) == 1 else _solve(overlaps, one) for one in sets])


def _solve(overlaps: Overlaps, pairs: np.ndarray) -> np.ndarray:
    rows, row = np.unique(overlaps.reference[pairs], return_inverse=True)
    columns, column = np.unique(overlaps.predicted[pairs], return_inverse=True)
    worth = np.zeros((len(rows), len(columns)))
    worth[row, column] = overlaps.iou[pairs]
    index = np.full(worth.shape, NO_PARTNER)
    index[row, column] = pairs
    chosen = index[linear_sum_assignment(worth, maximize=True)]
    return chosen[chosen != NO_PARTNER]
