"""Graphs say what the networks say: run by onnxruntime on the CPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medt_pipeline.attention import forced_backend
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image
from medt_pipeline.inference import onnx_export
from medt_pipeline.inference.average import average_members
from medt_pipeline.inference.model_file import open_model_file
from medt_pipeline.inference.models import Ensemble, open_ensemble
from medt_pipeline.inference.onnx_export import PatchProbabilities, export_onnx, largest_difference, write_graph
from medt_pipeline.inference.packed_model import ensemble_in
from medt_pipeline.network.medt import MedT
from medt_pipeline.network.unet import GatedAxialUNet
from tests.conftest import Drawn

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX is an optional extra")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ensemble(model_file: Path) -> Ensemble:
    return ensemble_in(open_model_file(model_file))


@pytest.fixture(scope="module")
def exported(ensemble: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both folds in one graph, with mirror images."""
    folder = tmp_path_factory.mktemp("onnx") / "graphs"
    assert export_onnx(ensemble, folder) == [folder / "model.onnx"]
    return folder


def test_probabilities_and_masks_are_those_of_medt_predict(exported: Path, ensemble: Ensemble, trained: Drawn) -> None:
    """By what model.json says alone: scale, one tile, argmax."""
    description = json.loads((exported / "model.json").read_text())
    (graph,) = description["graphs"]
    assert graph["input"]["shape"] == ["batch", 3, 64, 96]
    assert graph["output"]["shape"] == ["batch", 2, 64, 96]
    assert {one["formula"] for one in graph["preprocessing"]["normalization"]} == {"x / 255"}
    assert graph["preprocessing"]["resampling"]["size"] == "round(height * 1) × round(width * 1), halves to even"
    assert graph["tiling"]["patch_size"] == [64, 96]
    assert graph["largest_difference_from_torch"] <= 1e-4
    images = [read_image(path) for path in sorted((trained.source / "test" / "images").iterdir())]
    patches = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255
    session = onnxruntime.InferenceSession(str(exported / graph["file"]), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"patches": patches})
    members = open_ensemble(ensemble, CPU, mirror=True)
    for image, probabilities in zip(images, found, strict=True):
        mean = average_members(members, image.transpose(2, 0, 1)[:, None].astype(np.float32)).probabilities[:, 0]
        # nnU-Net adds weighed logits up in half precision, in which the weights of the border are few digits long.
        difference = np.abs(probabilities - mean)
        assert difference[:, 8:-8, 8:-8].max() < 2e-3
        assert difference.max() < 2e-2
        sure = np.abs(mean[0] - mean[1]) > 4e-3
        assert sure.mean() > 0.9
        assert np.array_equal(probabilities.argmax(0)[sure], mean.argmax(0)[sure])


def test_probabilities_are_those_of_the_networks_within_a_tenth_of_a_thousandth(
    exported: Path, ensemble: Ensemble, trained: Drawn
) -> None:
    """Written out: logits averaged over four mirror images, softmax, mean of both folds."""
    image = read_image(next((trained.source / "test" / "images").iterdir()))
    patch = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    total = torch.zeros(1, 2, 64, 96)
    with torch.no_grad():
        for predictor in open_ensemble(ensemble, CPU, mirror=True)[0].predictors:
            network = predictor.network
            logits = network(patch)
            for axes in ((2,), (3,), (2, 3)):
                logits = logits + network(patch.flip(axes)).flip(axes)
            total += (logits / 4).softmax(1) / 2
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"patches": patch.numpy()})
    assert np.abs(found - total.numpy()).max() < 1e-4
    unsure = np.abs(total.numpy()[0, 0] - total.numpy()[0, 1]) < 1e-3
    assert np.array_equal(found[0].argmax(0)[~unsure], total.numpy()[0].argmax(0)[~unsure])


def test_without_mirroring_the_description_says_so_and_nothing_is_overwritten(
    exported: Path, ensemble: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "write_graph", lambda module, shape, file: file.write_bytes(b"graph"))
    monkeypatch.setattr(onnx_export, "largest_difference", lambda *_: 0.0)
    export_onnx(ensemble, tmp_path / "plain", mirror=False)
    assert json.loads((tmp_path / "plain" / "model.json").read_text())["mirroring_in_graph"] is False
    with pytest.raises(UserError, match="not an empty folder"):
        export_onnx(ensemble, exported)


def test_a_graph_that_differs_is_not_written(
    ensemble: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "write_graph", lambda module, shape, file: file.write_bytes(b"graph"))
    monkeypatch.setattr(onnx_export, "largest_difference", lambda *_: 2e-4)
    with pytest.raises(UserError, match="differs from the network by 2.0e-04"):
        export_onnx(ensemble, tmp_path / "graphs")
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(ensemble: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"ONNX needs onnx, onnxscript, onnxruntime; .*medt_pipeline\[onnx\]"):
        export_onnx(ensemble, tmp_path / "graphs")


def test_members_with_other_patches_get_a_graph_each(
    ensemble: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = open_ensemble(Ensemble((*ensemble.models, *ensemble.models), (0.25, 0.75)), CPU, mirror=True)
    together = onnx_export._graphs(members)
    assert [(one.file, one.weight, len(one.members)) for one in together] == [("model.onnx", 1.0, 2)]
    weights = onnx_export._module(together[0]).weights
    assert weights == pytest.approx((0.125, 0.125, 0.375, 0.375))
    for predictor in members[1].predictors:
        predictor.configuration_manager.configuration["patch_size"] = [32, 48]
    apart = onnx_export._graphs(members)
    assert [(one.file, one.weight) for one in apart] == [("model_0.onnx", 0.25), ("model_1.onnx", 0.75)]
    assert onnx_export._module(apart[1]).weights == pytest.approx((0.5, 0.5))


def plain_unet() -> nn.Module:
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    arguments = {"conv_op": nn.Conv2d, "kernel_sizes": 3, "strides": [1, 2], "n_conv_per_stage": [1, 1]}
    norm = {"norm_op": nn.InstanceNorm2d, "norm_op_kwargs": {"affine": True}, "nonlin": nn.LeakyReLU}
    return PlainConvUNet(
        1, 2, [4, 8], num_classes=2, n_conv_per_stage_decoder=[1], **arguments, **norm, deep_supervision=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: MedT(1, 2, (32, 48), base_width=16),
        lambda: MedT(1, 2, (32, 48), base_width=16, form="formula"),
        lambda: GatedAxialUNet(1, 2, (32, 48), base_width=16, form="formula"),
        plain_unet,
    ],
    ids=["MedT", "MedT-formula", "GatedAxialUNet-formula", "PlainConvUNet"],
)
def test_the_papers_networks_and_nnunets_travel_too(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = PatchProbabilities([make()], [(1,)], [1.0]).eval()
    with forced_backend("reference"):
        write_graph(module, (1, 32, 48), tmp_path / "a.onnx")
        assert largest_difference(module, (1, 32, 48), tmp_path / "a.onnx") < 1e-4
