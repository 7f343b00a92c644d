"""The way of a policy: from the plans file to the data loader, the checkpoint and the predictors."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from medt_pipeline.core.errors import UserError
from medt_pipeline.inference.models import find_model, open_folds
from medt_pipeline.planning.preprocessing import preprocess
from medt_pipeline.planning.rules.augmentation import AugmentationPolicy
from medt_pipeline.training.augmentation.cutmix import cut_and_mix
from medt_pipeline.training.augmentation.policy import insert_transforms, read_policy, transforms_of
from medt_pipeline.training.augmentation.shadow import ShadowTransform
from medt_pipeline.training.augmentation.stain_jitter import StainJitterTransform
from medt_pipeline.training.checkpoint import read_checkpoint
from medt_pipeline.training.run import TrainingOptions, train_fold
from medt_pipeline.training.trainer import nnUNetTrainerMedT
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn

CPU = torch.device("cpu")
HISTOLOGY = AugmentationPolicy("histology", (0, 1), 180.0)
ULTRASOUND = AugmentationPolicy("ultrasound", (1,), 15.0)


def with_policy(planned: Drawn, target: Path, policy: AugmentationPolicy | None) -> Drawn:
    """A copy of the planned set whose plan has the policy, and two iterations an epoch."""
    copy = planned.copy(target, "results")
    file = copy.preprocessed / "MedTPlans.json"
    plans = json.loads(file.read_text())
    settings = plans["configurations"]["2d"]["medt"]
    settings["schedule"] |= {
        "epochs": 1,
        "iterations_per_epoch": 2,
        "validation_iterations_per_epoch": 1,
        "warmup_epochs": 0,
    }
    settings.pop("augmentation", None)
    if policy is not None:
        settings["augmentation"] = asdict(policy)
    if policy is not None and policy.kind == "histology":
        plans["configurations"]["2d"]["normalization_schemes"] = ["RGBTo01Normalization"] * 3
        preprocess_again(copy, plans)
    file.write_text(json.dumps(plans))
    return copy


def preprocess_again(drawn: Drawn, plans: dict[str, Any]) -> None:
    """Preprocess as `plans` normalises."""
    dataset_json = json.loads((drawn.preprocessed / "dataset.json").read_text())
    cases = get_filenames_of_train_images_and_targets(str(drawn.workspace.raw / DATASET_NAME), dataset_json)
    target = drawn.preprocessed / plans["configurations"]["2d"]["data_identifier"]
    preprocess(cases, plans, "2d", dataset_json, target, threads=1, quiet=True)


def make_trainer(drawn: Drawn) -> nnUNetTrainerMedT:
    drawn.workspace.activate()
    plans = json.loads((drawn.preprocessed / "MedTPlans.json").read_text())
    dataset = json.loads((drawn.preprocessed / "dataset.json").read_text())
    return nnUNetTrainerMedT(plans, "2d", 0, dataset, CPU)


def training_transforms(trainer: nnUNetTrainer):
    """The transforms as `get_dataloaders` asks for them."""
    rotation, dummy, _, axes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    patch_size = trainer.configuration_manager.patch_size
    return trainer.get_training_transforms(patch_size, rotation, None, axes, dummy, foreground_labels=[1])


def names(transforms) -> list[str]:
    return [type(getattr(transform, "transform", transform)).__name__ for transform in transforms]


def test_without_a_policy_everything_is_nnunets(planned: Drawn, tmp_path: Path) -> None:
    trainer = make_trainer(with_policy(planned, tmp_path / "w", None))
    ours = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    stock = nnUNetTrainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size(trainer)
    assert ours[0] == stock[0]
    assert np.array_equal(ours[2], stock[2])
    assert ours[3] == stock[3] == trainer.inference_allowed_mirroring_axes == (0, 1)
    patch_size = trainer.configuration_manager.patch_size
    expected = nnUNetTrainer.get_training_transforms(patch_size, stock[0], None, stock[3], False, foreground_labels=[1])
    assert names(training_transforms(trainer).transforms) == names(expected.transforms)
    assert trainer.augmentation is None


@pytest.mark.parametrize("policy", [HISTOLOGY, ULTRASOUND], ids=lambda policy: policy.kind)
def test_ours_stand_between_the_spatial_transform_and_the_others(planned, tmp_path, policy) -> None:
    trainer = make_trainer(with_policy(planned, tmp_path / "w", policy))
    found = names(training_transforms(trainer).transforms)
    ours = names(transforms_of(policy))
    place = found.index("SpatialTransform") + 1
    assert found[place : place + len(ours)] == ours
    assert found.index("GaussianNoiseTransform") == place + len(ours)
    assert found.index("MirrorTransform") > place


@pytest.mark.parametrize("degrees", [0.0, 15.0, 180.0])
def test_rotation_follows_the_policy_and_patches_are_cut_large_enough(planned, tmp_path, degrees) -> None:
    trainer = make_trainer(with_policy(planned, tmp_path / "w", AugmentationPolicy(rotation_deg=degrees)))
    rotation, _, initial, _ = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert rotation == pytest.approx((-np.radians(degrees), np.radians(degrees)))
    height, width = trainer.configuration_manager.patch_size
    # Where nnU-Net takes the patch's corner to be after turning, at the smallest zoom.
    angle = np.radians(min(degrees, 90))
    least = (
        height * np.cos(angle) + width * np.sin(angle),
        abs(width * np.cos(angle) - height * np.sin(angle)),
    )
    assert initial[0] >= int(max(height, least[0]) / 0.85)
    assert initial[1] >= int(max(width, least[1]) / 0.85)


def test_a_probability_of_zero_leaves_a_transform_out() -> None:
    assert transforms_of(AugmentationPolicy("histology", stain_probability=0.0)) == []
    assert transforms_of(AugmentationPolicy("none")) == []
    assert "ShadowTransform" not in names(transforms_of(AugmentationPolicy("ultrasound", shadow_probability=0.0)))
    assert [type(one.transform) for one in transforms_of(HISTOLOGY)] == [StainJitterTransform]


def test_nnunets_list_is_not_changed_and_must_have_a_spatial_transform(planned, tmp_path) -> None:
    composed = training_transforms(make_trainer(with_policy(planned, tmp_path / "w", None)))
    before = list(composed.transforms)
    longer = insert_transforms(composed, [ShadowTransform(0.5)])
    assert composed.transforms == before
    assert len(longer.transforms) == len(before) + 1
    composed.transforms = before[1:]
    with pytest.raises(RuntimeError, match="0 spatial transforms"):
        insert_transforms(composed, [])


@pytest.mark.parametrize("schemes", [["ZScoreNormalization"] * 3, ["RGBTo01Normalization"]])
def test_stain_jitter_is_refused_on_other_scales(schemes: list[str]) -> None:
    record = asdict(HISTOLOGY)
    configuration = {"normalization_schemes": schemes, "medt": {"augmentation": record}}
    with pytest.raises(UserError, match="needs three channels normalised by RGBTo01Normalization"):
        read_policy(configuration)
    record["stain_probability"] = 0.0
    assert read_policy(configuration) is not None


class Calls:
    """Counts the images that a transform has changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, transform: type) -> None:
        self.images: list[torch.Tensor] = []
        original = transform._apply_to_image

        def note(transform_, img: torch.Tensor, **params):
            self.images.append(img.clone())
            return original(transform_, img, **params)

        monkeypatch.setattr(transform, "_apply_to_image", note)


@pytest.mark.parametrize(
    ("policy", "transform", "axes"),
    [
        (AugmentationPolicy("histology", (0, 1), 180.0, stain_probability=1.0), StainJitterTransform, (0, 1)),
        (AugmentationPolicy("ultrasound", (1,), 15.0, shadow_probability=1.0), ShadowTransform, (1,)),
        (AugmentationPolicy("none", (), 0.0), None, None),
    ],
    ids=["histology", "ultrasound", "none"],
)
def test_a_policy_reaches_the_data_loader_the_checkpoint_and_both_predictors(
    planned: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy, transform, axes
) -> None:
    drawn = with_policy(planned, tmp_path / "w", policy)
    calls = Calls(monkeypatch, transform) if transform is not None else None
    mirrored: list[tuple[int, ...] | None] = []
    original = nnUNetPredictor.manual_initialization

    def note(predictor: nnUNetPredictor, *arguments, **settings) -> None:
        original(predictor, *arguments, **settings)
        mirrored.append(predictor.allowed_mirroring_axes if predictor.use_mirroring else None)

    monkeypatch.setattr(nnUNetPredictor, "manual_initialization", note)
    result = train_fold(DATASET_ID, 0, drawn.workspace.activate(), CPU, options=TrainingOptions(quiet=True))
    assert result.scores is not None
    assert mirrored == [axes]  # the validation of the fold
    if calls is not None:
        assert len(calls.images) >= 2
        if policy.kind == "histology":
            assert all(image.min() >= 0 and image.max() <= 1 for image in calls.images)
        assert all(image.dtype == torch.float32 and image.shape == (3, 64, 96) for image in calls.images)
    checkpoint = read_checkpoint(result.folder / "checkpoint_final.pth", CPU)
    assert checkpoint["inference_allowed_mirroring_axes"] == axes
    open_folds(find_model(drawn.workspace, DATASET_ID, "2d"), CPU, mirror=True)
    assert mirrored == [axes, axes]
    stock = nnUNetPredictor(device=CPU, allow_tqdm=False)
    stock.initialize_from_trained_model_folder(str(result.folder.parent), (0,), "checkpoint_final.pth")
    assert stock.allowed_mirroring_axes == axes
    assert stock.predict_sliding_window_return_logits(torch.rand(3, 1, 64, 96)).shape == (2, 1, 64, 96)


def test_every_step_sees_mixed_patches(planned: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = with_policy(planned, tmp_path / "w", replace(ULTRASOUND, cutmix_probability=1.0))
    mixed: list[tuple[dict, dict]] = []
    trained_on: list[dict] = []
    step = nnUNetTrainer.train_step

    def mix(batch: dict, policy: AugmentationPolicy | None) -> dict:
        mixed.append((batch, cut_and_mix(batch, policy)))
        return mixed[-1][1]

    def note(trainer: nnUNetTrainer, batch: dict) -> dict:
        trained_on.append(batch)
        return step(trainer, batch)

    monkeypatch.setattr("medt_pipeline.training.trainer.cut_and_mix", mix)
    monkeypatch.setattr(nnUNetTrainer, "train_step", note)
    train_fold(DATASET_ID, 0, drawn.workspace.activate(), CPU, options=TrainingOptions(quiet=True))
    assert len(trained_on) == 2
    for (before, after), batch in zip(mixed, trained_on, strict=True):
        assert batch is after
        assert not torch.equal(before["data"], after["data"])
        assert len(after["target"]) == len(before["target"]) > 1


def test_a_resumed_training_keeps_the_axes_of_its_checkpoint(planned: Drawn, tmp_path: Path) -> None:
    drawn = with_policy(planned, tmp_path / "w", ULTRASOUND)
    result = train_fold(DATASET_ID, 0, drawn.workspace.activate(), CPU, options=TrainingOptions(quiet=True))
    trainer = make_trainer(drawn)
    trainer.initialize()
    trainer.load_checkpoint(str(result.folder / "checkpoint_final.pth"))
    assert trainer.inference_allowed_mirroring_axes == (1,)
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert trainer.inference_allowed_mirroring_axes == (1,)
    stock = nnUNetTrainer(
        {"continue_training": False, **trainer.my_init_kwargs["plans"]}, "2d", 0, trainer.dataset_json, CPU
    )
    stock.was_initialized, stock.network = True, trainer.network
    stock.optimizer, stock.grad_scaler = trainer.optimizer, None
    stock.load_checkpoint(str(result.folder / "checkpoint_final.pth"))
    assert stock.inference_allowed_mirroring_axes == (1,)


def test_the_other_configurations_inherit_the_policy(planned: Drawn, tmp_path: Path) -> None:
    drawn = with_policy(planned, tmp_path / "w", ULTRASOUND)
    drawn.workspace.activate()
    plans = json.loads((drawn.preprocessed / "MedTPlans.json").read_text())
    dataset = json.loads((drawn.preprocessed / "dataset.json").read_text())
    assert nnUNetTrainerMedT(plans, "2d_unet", 0, dataset, CPU).augmentation == ULTRASOUND


def test_space_changes_as_often_as_the_policy_says(planned, tmp_path) -> None:
    policy = AugmentationPolicy("histology", spatial_probability=0.7)
    spatial = spatial_of(make_trainer(with_policy(planned, tmp_path / "w", policy)))
    assert (spatial.p_rotation, spatial.p_scaling, spatial.padding_mode_image) == (0.7, 0.7, "zeros")
    mirrored = spatial_of(make_trainer(with_policy(planned, tmp_path / "m", replace(policy, border="mirror"))))
    assert (mirrored.spatial.p_rotation, mirrored.spatial.p_scaling) == (0.7, 0.7)
    assert mirrored.spatial.padding_mode_image == mirrored.spatial.border_mode_seg == "reflection"


def spatial_of(trainer):
    return training_transforms(trainer).transforms[0]
