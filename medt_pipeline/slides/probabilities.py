"""Class probabilities of one block of a slide: all networks' patches that touch tissue there, blended and averaged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.slides import Window
from medt_pipeline.inference.models import OpenModel
from medt_pipeline.slides.network_grid import SPLINE_MARGIN, NetworkGrid

PATCHES_AT_ONCE = 8
"""On a GPU, which one small patch does not fill; a CPU takes one at a time."""
CERTAIN = 20.0
"""Logit of the background where nothing was predicted."""

Touches = Callable[[Window], bool]
"""Whether tissue lies in a window, in pixels of the training images."""


@dataclass(frozen=True, eq=False)
class SlideNetwork:
    """A trained network on a slide.

    Attributes:
        predictor: nnU-Net's predictor around it.
        weight: of its probabilities; those of all networks add up to 1.
        grid: its pixels and patches on the slide.
        offset: what is taken from each channel, (channels, 1, 1); `factor`: by what it is then multiplied.
    """

    predictor: nnUNetPredictor
    weight: float
    grid: NetworkGrid
    offset: np.ndarray
    factor: np.ndarray


def lay_out(
    members: Sequence[OpenModel], size: tuple[int, int], sample: Callable[[], np.ndarray]
) -> list[SlideNetwork]:
    """All networks of an ensemble on a slide of `size` (height, width), in pixels of the training images.

    Args:
        sample: gives (pixels, channels) of the slide's tissue, for normalizations that ask for statistics of the image;
            called only if one does.

    Raises:
        UserError: a normalization cannot be applied to a slide.
    """
    networks = []
    for member in members:
        settings = member.predictors[0].configuration_manager
        spacing, patch = (tuple(float(one) for one in settings.spacing[-2:]), tuple(map(int, settings.patch_size)))
        grid = NetworkGrid(size, (spacing[0], spacing[1]), (patch[0], patch[1]))
        offset, factor = _normalization(settings, sample)
        weight = member.weight / len(member.predictors)
        networks += [SlideNetwork(one, weight, grid, offset, factor) for one in member.predictors]
    return networks


def block_probabilities(
    networks: Sequence[SlideNetwork],
    picture: np.ndarray,
    shown: Window,
    window: Window,
    touches: Touches,
    done: Callable[[int], object] = lambda patches: None,
) -> np.ndarray:
    """Weighted mean of the networks' probabilities in `window`, (classes, h, w) float32.

    Where no patch that touches tissue lies, all is background.

    Args:
        picture: (h, w, channels) uint8 that shows the window `shown`, which holds `needed_window`.
        done: is told the number of patches that were predicted, batch after batch.
    """
    total: np.ndarray | None = None
    for network in networks:
        logits = _block_logits(network, picture, shown, window, touches, done)
        probabilities = network.predictor.label_manager.apply_inference_nonlin(torch.from_numpy(logits)).numpy()
        del logits
        probabilities *= np.float32(network.weight)
        if total is None:
            total = probabilities
        else:
            total += probabilities
    if total is None:
        raise ValueError("there is no network to predict with")
    return total


def needed_window(networks: Sequence[SlideNetwork], window: Window) -> Window:
    """The pixels that the networks look at to predict `window`, in pixels of the training images."""
    shown = window
    for network in networks:
        own = network.grid.image_window(_hull(network.grid, network.grid.network_window(window)), SPLINE_MARGIN)
        shown = Window(
            min(shown.top, own.top),
            min(shown.left, own.left),
            max(shown.bottom, own.bottom),
            max(shown.right, own.right),
        )
    return shown


def _hull(grid: NetworkGrid, window: Window) -> Window:
    """The part of the slide under all patches that touch a window."""
    patches = grid.patches(window)
    height, width = grid.network_size
    return Window(
        max(0, min(one.top for one in patches)),
        max(0, min(one.left for one in patches)),
        min(height, max(one.bottom for one in patches)),
        min(width, max(one.right for one in patches)),
    )


def block_patches(network: SlideNetwork, window: Window, touches: Touches) -> list[Window]:
    """The patches that share pixels with `window` and touch tissue, in pixels of the network."""
    grid = network.grid
    near = grid.patches(grid.network_window(window))
    return [one for one in near if touches(grid.image_window(one, SPLINE_MARGIN))]


def _block_logits(
    network: SlideNetwork,
    picture: np.ndarray,
    shown: Window,
    window: Window,
    touches: Touches,
    done: Callable[[int], object],
) -> np.ndarray:
    grid, predictor = network.grid, network.predictor
    wanted = grid.network_window(window)
    hull = _hull(grid, wanted)
    planes = grid.to_network(picture, shown, hull)
    heads = predictor.label_manager.num_segmentation_heads
    logits = torch.zeros((heads, *wanted.shape))
    weights = torch.zeros(wanted.shape)
    gaussian = compute_gaussian(grid.patch, 1 / 8, 10, torch.float32, torch.device("cpu"))
    patches = block_patches(network, window, touches)
    at_once = PATCHES_AT_ONCE if predictor.device.type == "cuda" else 1
    for start in range(0, len(patches), at_once):
        batch = patches[start : start + at_once]
        predicted = _predict(predictor, np.stack([_patch(network, planes, hull, one) for one in batch]))
        for patch, prediction in zip(batch, predicted, strict=True):
            inner, outer = _overlap(patch, wanted)
            logits[:, outer[0], outer[1]] += (prediction * gaussian)[:, inner[0], inner[1]]
            weights[outer] += gaussian[inner]
        done(len(batch))
    logits /= weights.clamp(min=torch.finfo(torch.float32).tiny)
    logits[0][weights == 0] = CERTAIN
    return grid.to_image(logits.numpy(), wanted, window)


def _patch(network: SlideNetwork, planes: np.ndarray, hull: Window, patch: Window) -> np.ndarray:
    """A normalized patch; what lies beyond the slide is 0, as nnU-Net pads it."""
    inner, outer = _overlap(patch, hull)
    image = np.zeros((len(planes), *patch.shape), np.float32)
    levels = planes[:, outer[0], outer[1]].astype(np.float32)
    image[:, inner[0], inner[1]] = (levels - network.offset) * network.factor
    return image


def _overlap(patch: Window, window: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What patch and window share: where it lies in each."""
    shared = patch.shared(window)
    return shared.within(patch), shared.within(window)


@torch.inference_mode()
def _predict(predictor: nnUNetPredictor, images: np.ndarray) -> torch.Tensor:
    """Logits (patches, classes, h, w) of (patches, channels, h, w), averaged over the predictor's mirror images."""
    device = predictor.device
    on_cuda = torch.autocast(device.type, enabled=True) if device.type == "cuda" else contextlib.nullcontext()
    with on_cuda:
        logits: torch.Tensor = predictor._internal_maybe_mirror_and_predict(torch.from_numpy(images).to(device))
    return logits.float().cpu()


def _normalization(settings: Any, sample: Callable[[], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Offset and factor of each channel, (channels, 1, 1), by nnU-Net's schemes.

    Those that ask for the image's own mean or range take these from tissue all over the slide, as a training image
    shows little else.
    """
    offsets, factors = [], []
    for channel, scheme in enumerate(settings.normalization_schemes):
        if scheme == "RGBTo01Normalization":
            offset, factor = 0.0, 1 / 255
        elif scheme == "NoNormalization":
            offset, factor = 0.0, 1.0
        elif scheme == "ZScoreNormalization":
            values = sample()[:, channel].astype(np.float64)
            offset, factor = float(values.mean()), 1 / max(float(values.std()), 1e-8)
        elif scheme == "RescaleTo01Normalization":
            values = sample()[:, channel]
            offset, factor = float(values.min()), 1 / max(float(np.ptp(values)), 1e-8)
        else:
            raise UserError(f"The model normalizes images by {scheme}, which cannot be done for a slide.")
        offsets.append(offset)
        factors.append(factor)
    shape = (-1, 1, 1)
    return np.array(offsets, np.float32).reshape(shape), np.array(factors, np.float32).reshape(shape)
