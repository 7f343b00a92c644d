"""A network that finds the objects of drawn slides by their colour, in nnU-Net's predictor like any other."""

from __future__ import annotations

import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from medt_pipeline.inference.models import OpenModel
from medt_pipeline.postprocessing.recipe import PostProcessing
from medt_pipeline.slides.predict import SlideModel
from medt_pipeline.training.case_prediction import make_predictor
from tests.slides.drawn_slides import OBJECT, TISSUE

RESAMPLING = "resample_data_or_seg_to_shape"


class ColourThreshold(nn.Module):
    """Logits of background and object: how much darker the green channel is than halfway from tissue to object."""

    def __init__(self, steepness: float = 20.0) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(steepness))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        halfway = (TISSUE[1] + OBJECT[1]) / 2 / 255
        darker = self.steepness * (halfway - image[:, 1:2])
        return torch.cat([-darker, darker], 1)


def stand_in(
    patch: tuple[int, int] = (64, 64),
    spacing: float = 1.0,
    network: nn.Module | None = None,
    recipe: PostProcessing | None = None,
    microns: float | None = 0.5,
    scheme: str = "RGBTo01Normalization",
    mirror_axes: tuple[int, ...] | None = None,
    names: dict[int, str] | None = None,
) -> SlideModel:
    """A model of one network without training, in nnU-Net's predictor like any other."""
    names = names or {1: "gland"}
    dataset_json = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, **{name: value for value, name in names.items()}},
        "file_ending": ".png",
    }
    resampling = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    configuration = {
        "patch_size": list(patch),
        "spacing": [spacing, spacing],
        "normalization_schemes": [scheme] * 3,
        "use_mask_for_norm": [False] * 3,
        "preprocessor_name": "DefaultPreprocessor",
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
        "resampling_fn_data": RESAMPLING,
        "resampling_fn_data_kwargs": {**resampling, "order": 3},
        "resampling_fn_seg": RESAMPLING,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": RESAMPLING,
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
    }
    plans = {
        "dataset_name": "Dataset999_Drawn",
        "plans_name": "MedTPlans",
        "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {str(channel): {} for channel in range(3)},
        "configurations": {"2d": configuration},
    }
    predictor = make_predictor(
        (network or ColourThreshold()).eval(),
        PlansManager(plans),
        "2d",
        dataset_json,
        "nnUNetTrainerMedT",
        mirror_axes,
        torch.device("cpu"),
    )
    return SlideModel((OpenModel((predictor,), 1.0, "2d"),), names, 3, recipe or PostProcessing(), microns)
