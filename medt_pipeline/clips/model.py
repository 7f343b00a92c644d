"""What predicts clips: an ensemble with its networks in memory, and the names of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.labels import make_labels
from medt_pipeline.inference.average import Average, mask_of
from medt_pipeline.inference.models import Ensemble, OpenModel, expected_channels, open_ensemble
from medt_pipeline.inference.networks_hash import networks_hash
from medt_pipeline.inference.recipe import Recipe


@dataclass(frozen=True, eq=False)
class ClipModel:
    """What predicts a clip.

    Attributes:
        members: models whose probabilities are averaged.
        names: class by label, without the background.
        channels: of the training images.
        recipe: what is done to the labels; None for nothing.
    """

    members: tuple[OpenModel, ...]
    names: Mapping[int, str]
    channels: int
    recipe: Recipe | None = None

    @property
    def classes(self) -> int:
        """Number of labels, background included."""
        return max(self.names) + 1

    @cached_property
    def key(self) -> str:
        """By what its networks are known again."""
        return networks_hash(self.members)

    def labels_of(self, mean: Average) -> np.ndarray:
        """Label map (H, W), uint8, of a frame's probabilities, after the post-processing of the recipe."""
        return mask_of(self.members, self.recipe, mean)


def open_clip_model(ensemble: Ensemble, device: torch.device, mirror: bool) -> ClipModel:
    """The ensemble with its networks in memory.

    Raises:
        UserError: as for `open_ensemble`; the labels are regions, or go beyond 255.
    """
    dataset_json = ensemble.models[0].dataset_json()
    labels = make_labels(dataset_json["labels"], f"The model of {ensemble.name}").foreground
    if max(labels.values()) > np.iinfo(np.uint8).max:
        raise UserError(f"{ensemble.name} has labels above 255, which the masks of a clip do not hold.")
    members = open_ensemble(ensemble, device, mirror)
    names = {value: name for name, value in labels.items()}
    return ClipModel(members, names, expected_channels(dataset_json), ensemble.recipe)
