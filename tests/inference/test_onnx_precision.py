"""Graphs in less than float32: what they are made of, and that masks decide whether they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medt_pipeline.core.errors import UserError
from medt_pipeline.inference import onnx_export
from medt_pipeline.inference.model_file import open_model_file
from medt_pipeline.inference.onnx_export import export_onnx, write_graph
from medt_pipeline.inference.onnx_precision import Agreement, compare, require_agreement, write_reduced
from medt_pipeline.inference.packed_model import ensemble_in
from tests.conftest import Drawn

onnx = pytest.importorskip("onnx", reason="ONNX is an optional extra")
pytest.importorskip("onnxruntime", reason="ONNX is an optional extra")
SHAPE = (3, 16, 24)
NAME = "patches"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1), nn.Softmax(1))
    file = tmp_path_factory.mktemp("graph") / "full.onnx"
    write_graph(module, SHAPE, file)
    return file


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (6, *SHAPE)).astype(np.float32)


def test_half_precision_has_weights_of_two_bytes_and_nearly_the_same_probabilities(
    graph: Path, patches: np.ndarray, tmp_path: Path
) -> None:
    write_reduced(graph, tmp_path / "half.onnx", "float16", patches, NAME)
    model = onnx.load(str(tmp_path / "half.onnx"))
    assert {one.data_type for one in model.graph.initializer if len(one.dims) == 4} == {onnx.TensorProto.FLOAT16}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    agreement = compare(graph, tmp_path / "half.onnx", patches, False, NAME)
    assert 0 < agreement.largest_difference < 2e-3
    assert agreement.patches == 6
    assert agreement.pixels > 0.95 * 6 * 16 * 24


def test_integers_are_written_with_ranges_of_the_patches(graph: Path, patches: np.ndarray, tmp_path: Path) -> None:
    write_reduced(graph, tmp_path / "int8.onnx", "int8", patches, NAME)
    operators = {node.op_type for node in onnx.load(str(tmp_path / "int8.onnx")).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert 1e-4 < compare(graph, tmp_path / "int8.onnx", patches, False, NAME).largest_difference < 0.1


@pytest.mark.parametrize(
    ("regions", "full", "other", "pixels", "differing"),
    [
        (False, [[0.9, 0.5002, 0.4], [0.1, 0.4998, 0.6]], [[0.4, 0.4, 0.3], [0.6, 0.6, 0.7]], 2, 1),
        (True, [[0.9, 0.5002, 0.4], [0.7, 0.1, 0.6]], [[0.9, 0.4, 0.6], [0.7, 0.1, 0.6]], 5, 1),
    ],
)
def test_pixels_near_another_label_may_get_it(regions, full, other, pixels, differing, monkeypatch, tmp_path) -> None:
    class Session:
        def __init__(self, path: str, providers: list[str]) -> None:
            self.values = np.array(full if "full" in path else other)[None, :, None]

        def run(self, names: None, batch: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [self.values]

    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    agreement = compare(tmp_path / "full", tmp_path / "other", np.zeros((1, 1, 1, 3), np.float32), regions, NAME)
    assert (agreement.pixels, agreement.differing) == (pixels, differing)


def test_a_changed_label_refuses_the_graph() -> None:
    require_agreement(Agreement(3, 0.4, 100, 0), "int8")
    with pytest.raises(UserError, match=r"In int8, 2 of 1,000 pixels of 3 patches get another label .* up to 0.400"):
        require_agreement(Agreement(3, 0.4, 1000, 2), "int8")


def test_an_export_tells_its_precision_or_leaves_nothing(
    model_file: Path, trained: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = ensemble_in(open_model_file(model_file))
    images = sorted((trained.source / "test" / "images").iterdir())[:2]

    def write(module: nn.Module, shape: tuple[int, ...], file: Path) -> None:
        write_graph(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Softmax(1)), shape, file)

    monkeypatch.setattr(onnx_export, "write_graph", write)
    monkeypatch.setattr(onnx_export, "largest_difference", lambda *_: 0.0)
    found = Agreement(2, 1e-3, 100, 0)
    monkeypatch.setattr(onnx_export, "compare", lambda *_: found)
    export_onnx(ensemble, tmp_path / "half", precision="float16", images=images)
    told = json.loads((tmp_path / "half" / "model.json").read_text())["graphs"][0]
    assert told["precision"] == "float16"
    assert told["compared_with_float32"] == {"patches": 2, "largest_difference": 0.001, "pixels": 100}
    assert {file.name for file in (tmp_path / "half").iterdir()} == {"model.onnx", "model.json"}
    found = Agreement(2, 1e-3, 100, 1)
    with pytest.raises(UserError, match="so it is not written"):
        export_onnx(ensemble, tmp_path / "refused", precision="float16", images=images)
    assert not (tmp_path / "refused").exists()
    with pytest.raises(UserError, match="no images in the folder of --images"):
        export_onnx(ensemble, tmp_path / "refused", precision="float16")
