from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.planning.edited import consistent, require_memory
from medt_pipeline.planning.run import preprocess_planned
from medt_pipeline.training.run import train_fold
from tests.conftest import DATASET_ID, Drawn


@pytest.fixture(scope="module")
def plans(planned: Drawn) -> dict:
    return json.loads((planned.preprocessed / "MedTPlans.json").read_text())


def edited(plans: dict, **changes: object) -> dict:
    """A copy of `plans` with values of the configuration 2d, or of its schedule, changed."""
    copied = json.loads(json.dumps(plans))
    settings = copied["configurations"]["2d"]
    for key, value in changes.items():
        (settings if key in settings else settings["medt"]["schedule"])[key] = value
    return copied


def test_plans_as_planned_stay_as_they_are(plans: dict) -> None:
    for configuration in plans["configurations"]:
        assert consistent(plans, configuration, "MedTPlans.json") == plans


def test_networks_follow_an_edited_patch(plans: dict) -> None:
    changed = edited(plans, patch_size=[96, 160])
    for configuration in ("2d", "2d_logo", "2d_axial"):
        derived = consistent(changed, configuration, "MedTPlans.json")["configurations"][configuration]["architecture"]
        assert derived["arch_kwargs"]["image_size"] == [96, 160]
    odd = edited(plans, patch_size=[56, 88])
    unet = consistent(odd, "2d_unet", "MedTPlans.json")["configurations"]["2d_unet"]["architecture"]["arch_kwargs"]
    assert unet["strides"] != plans["configurations"]["2d_unet"]["architecture"]["arch_kwargs"]["strides"]
    assert len(unet["features_per_stage"]) == unet["n_stages"] == len(unet["strides"])


def test_what_was_edited_of_the_network_stays(plans: dict) -> None:
    changed = edited(plans, patch_size=[96, 160])
    changed["configurations"]["2d"]["architecture"]["arch_kwargs"]["scale_start"] = 0.2
    derived = consistent(changed, "2d", "MedTPlans.json")["configurations"]["2d"]["architecture"]["arch_kwargs"]
    assert (derived["scale_start"], derived["image_size"]) == (0.2, [96, 160])


def test_all_contradictions_are_named_with_their_rule(plans: dict) -> None:
    with pytest.raises(UserError) as refused:
        consistent(edited(plans, batch_size=0, patch_size=[96], learning_rate=-1, epochs="ten"), "2d", "MedTPlans.json")
    message = str(refused.value)
    assert message.startswith("4 things to mend in configuration '2d' of MedTPlans.json:")
    for part in ("`batch_size` must be a whole number of at least 1", "`patch_size` must be a list of 2", "`epochs`"):
        assert part in message
    with pytest.raises(UserError, match=r"topology.logo_topology[\s\S]*`warmup_epochs` must be at most 1 with 2"):
        consistent(edited(plans, patch_size=[250, 384], epochs=2, warmup_epochs=2), "2d_medt", "MedTPlans.json")


def test_a_step_that_needs_more_memory_is_refused(plans: dict, planned: Drawn) -> None:
    dataset_json = json.loads((planned.preprocessed / "dataset.json").read_text())
    require_memory(plans, "2d", dataset_json)
    with pytest.raises(UserError, match="breaks the rule memory.choose_memory: 100000 patches"):
        require_memory(edited(plans, batch_size=100000), "2d", dataset_json)


@pytest.fixture
def edit(planned: Drawn, tmp_path: Path) -> tuple[Drawn, Callable[..., None]]:
    """A copy of the planned data set, and a function that edits its plans."""
    copied = planned.copy(tmp_path / "edited")
    file = copied.preprocessed / "MedTPlans.json"

    def change(**changes: object) -> None:
        file.write_text(json.dumps(edited(json.loads(file.read_text()), **changes)))

    return copied, change


def test_arrays_made_otherwise_are_refused_until_preprocessed_again(edit: tuple[Drawn, Callable[..., None]]) -> None:
    import torch
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    copied, change = edit
    workspace = copied.workspace.activate()
    change(spacing=[2.0, 2.0], patch_size=[32, 64])
    sentence = r"was preprocessed with spacing \[1.0, 1.0\] instead of \[2.0, 2.0\].*keep-plans"
    with pytest.raises(UserError, match=sentence):
        train_fold(DATASET_ID, 0, workspace, torch.device("cpu"))
    plans_file = preprocess_planned(DATASET_ID, workspace, quiet=True)
    settings = json.loads(plans_file.read_text())["configurations"]["2d"]
    assert settings["architecture"]["arch_kwargs"]["image_size"] == [32, 64]
    record = json.loads((copied.preprocessed / "medt_MedTPlans_2d.json").read_text())
    assert record["spacing"] == [2.0, 2.0]
    image, *_ = nnUNetDatasetBlosc2(str(copied.preprocessed / "MedTPlans_2d")).load_case("p02_1")
    assert image.shape == (3, 1, 32, 48)
