from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.inference.model_file import open_model_file
from medt_pipeline.inference.models import open_ensemble
from medt_pipeline.inference.packed_model import ensemble_in
from tests.inference.model_files import members_of, remade


def test_a_file_that_is_changed_after_it_was_opened_is_noticed(model_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "a.medt"
    copy.write_bytes(model_file.read_bytes())
    ensemble = ensemble_in(open_model_file(copy))
    weights = members_of(model_file)["weights/2d/fold_0.safetensors"]
    remade(model_file, copy, {"weights/2d/fold_0.safetensors": weights[:-1] + b"\x01"})
    with pytest.raises(UserError, match="another than its manifest says"):
        ensemble.models[0].fold_weights(0)


def test_networks_that_are_foreign_or_cannot_be_are_refused(model_file: Path, tmp_path: Path) -> None:
    def with_network(**changes: object):
        def change(plans: dict) -> dict:
            plans["configurations"]["2d"]["architecture"].update(changes)
            return plans

        return {"plans.json": change}

    with pytest.raises(UserError, match="network 'os.system' is unknown"):
        ensemble_in(open_model_file(remade(model_file, tmp_path / "a", with_network(network_class_name="os.system"))))
    file = open_model_file(remade(model_file, tmp_path / "b", with_network(arch_kwargs={"nothing": 1})))
    with pytest.raises(UserError, match="cannot be made from its plan .*unexpected keyword argument"):
        open_ensemble(ensemble_in(file), torch.device("cpu"), mirror=False)
    smaller = {"image_size": [64, 96], "size": "S", "deep_supervision": False}
    file = open_model_file(remade(model_file, tmp_path / "c", with_network(arch_kwargs=smaller)))
    with pytest.raises(UserError, match="weights of fold 0 of 2d are those of another network"):
        open_ensemble(ensemble_in(file), torch.device("cpu"), mirror=False)


def test_another_number_of_channels_is_refused(model_file: Path, tmp_path: Path) -> None:
    gray = {"dataset.json": lambda content: {**content, "channel_names": {"0": "gray"}}}
    with pytest.raises(UserError, match="plan for another number of channels"):
        ensemble_in(open_model_file(remade(model_file, tmp_path / "a.medt", gray)))
