"""Where a mask may be wrong: entropy of the probabilities, and disagreement of the members of an ensemble."""

from __future__ import annotations

import numpy as np


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy over classes, (classes, …) → (…), as a share of the largest possible: 0 certain, 1 all classes alike."""
    p = np.clip(probabilities, 1e-12, 1)
    return np.asarray(-(p * np.log(p)).sum(0) / np.log(len(p)))


def disagreement(of_mean: np.ndarray, mean_of_members: np.ndarray) -> np.ndarray:
    """Entropy that comes from members that differ: of their mean, less the mean of their own; 0 where all agree.

    Source: the mutual information of Houlsby et al. 2011 (Bayesian active learning, arXiv 1112.5745), in units of the
    largest entropy.
    """
    return np.asarray(np.maximum(of_mean - mean_of_members, 0))


def as_picture(share: np.ndarray) -> np.ndarray:
    """Shares, 0 to 1, as an 8-bit picture."""
    return np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
