"""A model as ONNX graphs, which other programs run without torch, with what is to be done before and after as JSON."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medt_pipeline.attention import forced_backend
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import scratch_folder, write_json
from medt_pipeline.core.manifest import content_hash, versions
from medt_pipeline.inference.models import Ensemble, OpenModel, expected_channels, open_ensemble
from medt_pipeline.inference.onnx_description import describe_processing
from medt_pipeline.inference.onnx_precision import Precision, compare, image_patches, require_agreement, write_reduced
from medt_pipeline.planning.preprocessing import how_preprocessed

FORMAT = 1
DESCRIPTION = "model.json"
INPUT, OUTPUT = "patches", "probabilities"
TOLERANCE = 1e-4
"""Largest difference of a probability between graph and network, else nothing is written."""
OPSET = 18
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


class PatchProbabilities(nn.Module):
    """Class probabilities of preprocessed patches: the weighted mean over networks, mirror images within.

    Logits are averaged over mirror images, probabilities over networks, as medt_predict does.

    Args:
        networks: of one patch size.
        mirror_axes: spatial axes for each network; None for no mirror images.
        weights: of each network; they add up to 1.
        regions: whether classes overlap, so that each has a probability of its own.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        mirror_axes: Sequence[tuple[int, ...] | None],
        weights: Sequence[float],
        regions: bool = False,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.flips = [_flips(axes) for axes in mirror_axes]
        self.weights, self.regions = tuple(weights), regions

    def forward(self, patches: Tensor) -> Tensor:
        """(cases, channels, H, W) → (cases, classes, H, W)."""
        parts = [
            weight * self._of(network, flips, patches)
            for network, flips, weight in zip(self.networks, self.flips, self.weights, strict=True)
        ]
        return torch.stack(parts).sum(0)

    def _of(self, network: nn.Module, flips: list[tuple[int, ...]], patches: Tensor) -> Tensor:
        mirrored = torch.cat([torch.flip(patches, axes) if axes else patches for axes in flips])
        logits = network(mirrored).unflatten(0, (len(flips), -1))
        back = [torch.flip(logits[index], axes) if axes else logits[index] for index, axes in enumerate(flips)]
        mean = torch.stack(back).mean(0)
        return torch.sigmoid(mean) if self.regions else torch.softmax(mean, dim=1)


@dataclass(frozen=True)
class _Graph:
    """What becomes one file."""

    file: str
    weight: float
    members: tuple[OpenModel, ...]


def export_onnx(
    ensemble: Ensemble,
    target: Path,
    mirror: bool = True,
    precision: Precision = "float32",
    images: Sequence[Path] = (),
) -> list[Path]:
    """Write the graphs of a model and model.json, which says what is to be done before and after.

    Models that preprocess alike and have one patch size become one graph, the others one each. Every graph is run and
    compared with the networks before anything is written.

    Args:
        ensemble: of a workspace or a model file.
        target: a folder that does not exist or is empty.
        mirror: average over mirror images within the graph, as in training.
        precision: of the graphs; another than float32 is compared with that on `images`.
        images: like those that will be predicted; only for another precision.

    Returns:
        The graphs' files.

    Raises:
        UserError: packages are missing, `target` holds something, a graph says something else than its networks, or it
            gives `images` other masks than float32 does.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {', '.join(missing)}; install them with: pip install 'medt_pipeline[onnx]'.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists already and is not an empty folder; name another.")
    graphs = _graphs(open_ensemble(ensemble, torch.device("cpu"), mirror))
    with scratch_folder(target.absolute().parent, target.name) as scratch:
        written = [_write_graph(graph, scratch) for graph in graphs]
        if precision != "float32":
            channels = expected_channels(ensemble.models[0].dataset_json())
            for graph, told in zip(graphs, written, strict=True):
                told |= _reduce(graph, scratch, precision, image_patches(graph.members[0], images, channels))
        write_json(scratch / DESCRIPTION, _description(ensemble, written, mirror))
        if target.exists():
            target.rmdir()
        scratch.rename(target)
    return [target / graph.file for graph in graphs]


def _graphs(members: Sequence[OpenModel]) -> list[_Graph]:
    alike: dict[str, list[OpenModel]] = {}
    for member in members:
        settings = member.predictors[0].configuration_manager
        key = content_hash([how_preprocessed(settings), list(settings.patch_size)])
        alike.setdefault(key, []).append(member)
    names = ["model.onnx"] if len(alike) == 1 else [f"model_{number}.onnx" for number in range(len(alike))]
    return [
        _Graph(name, sum(one.weight for one in group), tuple(group))
        for name, group in zip(names, alike.values(), strict=True)
    ]


def _write_graph(graph: _Graph, folder: Path) -> dict[str, Any]:
    """Write a graph that says what its networks say; returns its description."""
    module, shape = _module(graph), _shape(graph)
    file = folder / graph.file
    with forced_backend("reference"):
        write_graph(module, shape, file)
        difference = largest_difference(module, shape, file)
    if difference > TOLERANCE:
        raise UserError(
            f"The graph differs from the network by {difference:.1e} in a probability, more than {TOLERANCE:g}, so it "
            "is not written; report this with the versions of torch and onnx."
        )
    first = graph.members[0].predictors[0]
    classes = first.label_manager.num_segmentation_heads
    networks = [
        {"configuration": one.configuration, "networks": len(one.predictors), "weight": one.weight / graph.weight}
        for one in graph.members
    ]
    return {
        "file": graph.file,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "weight": graph.weight,
        "networks": networks,
        "precision": "float32",
        "input": {"name": INPUT, "dtype": "float32", "shape": ["batch", *shape]},
        "output": {"name": OUTPUT, "dtype": "float32", "shape": ["batch", classes, *shape[1:]]},
        "largest_difference_from_torch": float(f"{difference:.1e}"),
        **describe_processing(first),
    }


def _reduce(graph: _Graph, folder: Path, precision: Precision, patches: np.ndarray) -> dict[str, Any]:
    """Put a graph in another precision in place of one; returns what changes in its description."""
    file, reduced = folder / graph.file, folder / "reduced.onnx"
    with _quiet():
        write_reduced(file, reduced, precision, patches, INPUT)
    regions = graph.members[0].predictors[0].label_manager.has_regions
    agreement = compare(file, reduced, patches, regions, INPUT)
    require_agreement(agreement, precision)
    reduced.replace(file)
    return {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "precision": precision,
        "compared_with_float32": {
            "patches": agreement.patches,
            "largest_difference": float(f"{agreement.largest_difference:.1e}"),
            "pixels": agreement.pixels,
        },
    }


def write_graph(module: nn.Module, shape: tuple[int, int, int], file: Path) -> None:
    """Write an ONNX graph of `module` for patches of `shape` (channels, H, W), any number at once."""
    # a batch of one would be taken for a constant
    example = torch.zeros(2, *shape)
    with torch.inference_mode(False), torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        if program is None:
            raise RuntimeError("torch has exported nothing")
        program.save(str(file))


def largest_difference(module: nn.Module, shape: tuple[int, int, int], file: Path) -> float:
    """Largest difference between the graph in `file` and `module`, on one and on three patches of noise."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    differences = []
    for cases in (1, 3):
        patches = rng.uniform(0, 1, (cases, *shape)).astype(np.float32)
        with torch.no_grad():
            expected = module(torch.from_numpy(patches)).numpy()
        differences.append(float(np.abs(session.run([OUTPUT], {INPUT: patches})[0] - expected).max()))
    return max(differences)


def _module(graph: _Graph) -> PatchProbabilities:
    pairs = [(one, predictor) for one in graph.members for predictor in one.predictors]
    return PatchProbabilities(
        [predictor.network for _, predictor in pairs],
        [predictor.allowed_mirroring_axes if predictor.use_mirroring else None for _, predictor in pairs],
        [one.weight / graph.weight / len(one.predictors) for one, _ in pairs],
        pairs[0][1].label_manager.has_regions,
    )


def _shape(graph: _Graph) -> tuple[int, int, int]:
    first = graph.members[0].predictors[0]
    height, width = (int(side) for side in first.configuration_manager.patch_size)
    return len(first.configuration_manager.normalization_schemes), height, width


def _description(ensemble: Ensemble, graphs: list[dict[str, Any]], mirror: bool) -> dict[str, Any]:
    dataset_json = ensemble.models[0].dataset_json()
    return {
        "kind": "medt_pipeline onnx",
        "format": FORMAT,
        "name": ensemble.models[0].dataset_name,
        "written_with": versions(),
        "channel_names": dataset_json["channel_names"],
        "labels": dataset_json["labels"],
        "mirroring_in_graph": mirror,
        "graphs": graphs,
        "combine": "Bring the probabilities of each graph to the size of the image, then take their mean by `weight`.",
        "mask": "The label of the most probable class; then `postprocessing`, if any.",
        "postprocessing": None if ensemble.recipe is None else ensemble.recipe.postprocessing.to_json(),
    }


def _flips(axes: tuple[int, ...] | None) -> list[tuple[int, ...]]:
    """Axes of (cases, channels, H, W) to turn over, for each mirror image; the first is the image itself."""
    spatial = [axis + 2 for axis in axes or ()]
    return [chosen for count in range(len(spatial) + 1) for chosen in combinations(spatial, count)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter, and through the root logger onnxruntime's quantization, tell of their steps."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", None)]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
