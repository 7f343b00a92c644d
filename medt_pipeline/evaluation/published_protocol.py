"""How the scripts published with the Medical Transformer score: to compare with the paper's figures, never to judge by.

`performancemetrics_*.m` (github.com/jeya-maria-jose/Medical-Transformer) compare masks at the size at which the network
was trained, with the ground truth resized too, and give an image without a single true positive the score 1, be it
empty, a complete miss or a false alarm. The figures of the paper are means of these scores over the test images, at the
epoch where they are best.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from medt_pipeline.evaluation.metrics import Counts, count_pixels, dice, iou

PUBLISHED_SIZE = 128
"""Height and width of the masks of GlaS and Brain US; MoNuSeg's are 512."""


def count_published_pixels(reference: np.ndarray, prediction: np.ndarray, label: int, size: int) -> Counts:
    """Counts of `label` in two label maps, (H, W) integers, both resized to `size` × `size` by the nearest pixel.

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"reference has the shape {reference.shape}, prediction {prediction.shape}")
    one, other = (_resized(labels == label, size) for labels in (reference, prediction))
    return count_pixels(one, other, label=1)


def published_f1(counts: Counts) -> float:
    """2 TP / (2 TP + FP + FN), and 1 wherever TP is 0."""
    return dice(counts) if counts.tp else 1.0


def published_iou(counts: Counts) -> float:
    """TP / (TP + FP + FN), and 1 wherever TP is 0."""
    return iou(counts) if counts.tp else 1.0


def _resized(mask: np.ndarray, size: int) -> np.ndarray:
    picture = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(picture.resize((size, size), Image.Resampling.NEAREST))
