"""Prediction with a model file: its networks as `open_ensemble` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medt_pipeline.core.errors import UserError
from medt_pipeline.inference.model_file import ModelFile
from medt_pipeline.inference.models import Ensemble, FoldWeights
from medt_pipeline.inference.weights import unpacked_weights
from medt_pipeline.planning.foreign_plans import require_known_parts
from medt_pipeline.training.run import Fold


@dataclass(frozen=True)
class PackedModel:
    """A configuration in a model file; a `StoredModel`.

    Attributes:
        file: that holds it.
        configuration: in its plans.
        folds: whose networks predict.
    """

    file: ModelFile
    configuration: str
    folds: tuple[Fold, ...]

    @property
    def dataset_name(self) -> str:
        """Such as "Dataset101_GlaS"."""
        return self.file.dataset_name

    def dataset_json(self) -> dict[str, Any]:
        """Content of nnU-Net's dataset.json."""
        return self.file.dataset_json

    def plans(self) -> dict[str, Any]:
        """Content of nnU-Net's plans.json.

        Raises:
            UserError: it names anything that our planner does not write.
        """
        require_known_parts(self.file.plans, self.configuration, str(self.file.path))
        return self.file.plans

    def fold_weights(self, fold: Fold) -> FoldWeights:
        """The weights of a fold's network.

        Raises:
            UserError: they were changed since the file was opened, or are none.
        """
        wanted = (self.configuration, str(fold))
        network = next(one for one in self.file.networks if (one.configuration, one.fold) == wanted)
        content = self.file.content_of(network.file)
        return FoldWeights(unpacked_weights(content, f"{network.file} in {self.file.path}"), network.mirror_axes)


def ensemble_in(file: ModelFile) -> Ensemble:
    """The recipe of a model file.

    Raises:
        UserError: its plan names anything that our planner does not write, or has another number of channels.
    """
    models = tuple(PackedModel(file, one.configuration, one.folds) for one in file.recipe.members)
    schemes = [one.plans()["configurations"][one.configuration]["normalization_schemes"] for one in models]
    if any(len(scheme) != len(file.dataset_json["channel_names"]) for scheme in schemes):
        raise UserError(f"{file.path} has a plan for another number of channels than its images; get the file again.")
    weights = tuple(one.weight for one in file.recipe.members)
    return Ensemble(models, weights, file.recipe if file.selected else None, file.checksum)
