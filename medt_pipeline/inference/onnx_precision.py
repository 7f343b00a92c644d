"""ONNX graphs in half precision or with 8-bit integers, which are kept where real images come out the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image

from medt_pipeline.core.errors import UserError
from medt_pipeline.inference.average import preprocess
from medt_pipeline.inference.inputs import read_input
from medt_pipeline.inference.models import OpenModel

Precision = Literal["float32", "float16", "int8"]
NEAR_DECISION = 1e-3
"""Probabilities closer than this to another label may decide for it."""
MOST_PATCHES = 64
"""That are run to learn ranges of values and to compare."""
AT_ONCE = 4


@dataclass(frozen=True)
class Agreement:
    """A graph beside the one in float32.

    Attributes:
        patches: that both were given.
        largest_difference: of a probability.
        pixels: of all patches whose label is not near another one.
        differing: of these, pixels with another label.
    """

    patches: int
    largest_difference: float
    pixels: int
    differing: int


def image_patches(member: OpenModel, images: Sequence[Path], channels: int) -> np.ndarray:
    """Preprocessed patches of images as `medt_predict` sees them, (patches, channels, H, W) float32; the first of many.

    Raises:
        UserError: there is no image, or one cannot be read or has colours that the model does not know.
    """
    if not images:
        raise UserError("There are no images in the folder of --images; name one with images like those to come.")
    return np.stack(list(itertools.islice(_patches(member, images, channels), MOST_PATCHES)))


def _patches(member: OpenModel, images: Sequence[Path], channels: int) -> Iterator[np.ndarray]:
    predictor = member.predictors[0]
    patch_size = tuple(predictor.configuration_manager.patch_size)
    for path in images:
        data, _ = preprocess(predictor, read_input(path, channels)[1])
        padded = pad_nd_image(torch.from_numpy(data), patch_size, "constant", {"value": 0}, False, None)
        for tile in predictor._internal_get_sliding_window_slicers(padded.shape[1:]):
            yield padded[tile].numpy()


def write_reduced(file: Path, target: Path, precision: Precision, patches: np.ndarray, name: str) -> None:
    """Write the float32 graph in `file` in another precision; inputs and outputs stay float32.

    Args:
        precision: "float16", or "int8" for 8-bit weights and activations of convolutions and matrix products, whose
            ranges come from `patches`.
        name: of the graph's input.
    """
    if precision == "float16":
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(str(file)), keep_io_types=True), str(target))
        return
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Patches(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(patches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            following = next(self.left, None)
            return None if following is None else {name: following[None]}

    quantize_static(str(file), str(target), Patches(), per_channel=True, op_types_to_quantize=["Conv", "MatMul"])


def compare(file: Path, reduced: Path, patches: np.ndarray, regions: bool, name: str) -> Agreement:
    """Run both graphs on patches.

    Args:
        regions: whether classes overlap, each with a probability of its own, which decides at a half.
        name: of the graphs' input.
    """
    import onnxruntime

    def session(path: Path) -> Any:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    full, other = session(file), session(reduced)
    largest, pixels, differing = 0.0, 0, 0
    for first in range(0, len(patches), AT_ONCE):
        batch = {name: patches[first : first + AT_ONCE]}
        expected, found = full.run(None, batch)[0], other.run(None, batch)[0]
        largest = max(largest, float(np.abs(expected - found).max()))
        sure, same = _decisions(expected, found, regions)
        pixels += int(sure.sum())
        differing += int((sure & ~same).sum())
    return Agreement(len(patches), largest, pixels, differing)


def _decisions(expected: np.ndarray, found: np.ndarray, regions: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where labels are not near another one, and where both graphs agree; (cases, classes, H, W) → (cases, …)."""
    if regions:
        return np.abs(expected - 0.5) >= NEAR_DECISION / 2, (expected > 0.5) == (found > 0.5)
    second, first = np.partition(expected, -2, axis=1)[:, -2:].swapaxes(0, 1)
    return first - second >= NEAR_DECISION, expected.argmax(1) == found.argmax(1)


def require_agreement(agreement: Agreement, precision: Precision) -> None:
    """Refuse a graph that gives a pixel another label, unless two labels are as good as equal there.

    Raises:
        UserError: it does.
    """
    if agreement.differing:
        raise UserError(
            f"In {precision}, {agreement.differing:,} of {agreement.pixels:,} pixels of {agreement.patches} patches "
            f"get another label (probabilities differ by up to {agreement.largest_difference:.3f}), so it is not "
            "written; leave --precision out."
        )
