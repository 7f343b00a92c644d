"""What is measured: a layer or a whole network of ours, and its peers for the same input."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from medt_pipeline.attention.backends import VARIABLE
from medt_pipeline.network import HybridMedT, MedT, official_weights
from medt_pipeline.network.axial_layer import AxialAttentionLayer, Form
from medt_pipeline.planning.architectures import ARCHITECTURES
from tests.benchmarks.published_code import published_code

CHANNELS, CLASSES = 3, 2
WIDTH, HEADS = 16, 8
"""Of the first stage of MedT, whose layers are the longest and take most time."""


PUBLISHED_SIZE = 128


@dataclass(frozen=True)
class Contender:
    """One way to do a piece of work.

    Attributes:
        name: as it stands in the table.
        module: in training mode.
        backend: forced backend of the attention, "" for the one that is chosen.
    """

    name: str
    module: nn.Module
    backend: str = ""

    @contextlib.contextmanager
    def active(self) -> Iterator[nn.Module]:
        """The module, with its backend forced."""
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = self.backend
        try:
            yield self.module
        finally:
            os.environ.pop(VARIABLE) if before is None else os.environ.update({VARIABLE: before})


def input_of(work: str, size: int, batch: int) -> Tensor:
    """Random input of a piece of work for images of `size`."""
    shape = (batch, CHANNELS, size, size) if work == "network" else (batch, WIDTH, size // 2, size // 2)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def contenders(work: str, size: int) -> dict[str, Callable[[], Contender]]:
    """Makers by name, ours first. All of one work have the same weights where they are the same network."""
    return _networks(size) if work == "network" else _layers(size)


def _networks(size: int) -> dict[str, Callable[[], Contender]]:
    code = published_code()

    def medt(name: str, backend: str = "", **options: Any) -> Contender:
        torch.manual_seed(0)
        network = MedT(CHANNELS, CLASSES, (size, size), **options)
        # At other sizes our branches are deeper than the published ones, so that weights do not fit.
        if code is not None and size == PUBLISHED_SIZE and options.get("form", "published") == "published":
            torch.manual_seed(0)
            published = code.MedT(img_size=size, imgchan=CHANNELS, num_classes=CLASSES)
            official_weights.load(network, published.state_dict())
        return Contender(name, network, backend)

    def hybrid(name: str, **options: Any) -> Contender:
        return Contender(name, HybridMedT(CHANNELS, CLASSES, (size, size), **options))

    makers = {
        "MedT, published form": lambda: medt("MedT, published form"),
        "the same, recomputed": lambda: medt("the same, recomputed", recompute=True),
        "MedT, formula (planned)": lambda: medt("MedT, formula (planned)", form="formula"),
        "formula, recomputed": lambda: medt("formula, recomputed", form="formula", recompute=True),
        "HybridMedT S": lambda: hybrid("HybridMedT S", size="S"),
        "HybridMedT M": lambda: hybrid("HybridMedT M", size="M"),
        "M, recomputed": lambda: hybrid("M, recomputed", recompute=True),
        "M, no local branch": lambda: hybrid("M, no local branch", local_branch=False),
        "M, no attention": lambda: hybrid("M, no attention", attention="identity"),
        "HybridMedT L": lambda: hybrid("HybridMedT L", size="L"),
        "PlainConvUNet": lambda: Contender("PlainConvUNet", unet(size)),
        "half as wide": lambda: Contender("half as wide", unet(size, width=0.5)),
        "reference backend": lambda: medt("reference backend", "reference"),
    }
    if code is not None:
        makers["published code"] = lambda: _published_network(code, size)
    return makers


def _published_network(code: ModuleType, size: int) -> Contender:
    torch.manual_seed(0)
    return Contender("published code", code.MedT(img_size=size, imgchan=CHANNELS, num_classes=CLASSES))


def _layers(size: int) -> dict[str, Callable[[], Contender]]:
    code, length = published_code(), size // 2

    def layer(name: str, backend: str = "", form: Form = "published") -> Contender:
        torch.manual_seed(0)
        return Contender(name, AxialAttentionLayer(WIDTH, WIDTH, HEADS, length, "height", form=form), backend)

    makers = {
        "published form": lambda: layer("published form"),
        "formula": lambda: layer("formula", form="formula"),
        "reference backend": lambda: layer("reference backend", "reference"),
    }
    if code is not None:
        makers["published code"] = lambda: Contender(
            "published code", code.AxialAttention_dynamic(WIDTH, WIDTH, HEADS, length)
        )
    return makers


def unet(size: int, width: float = 1.0) -> nn.Module:
    """nnU-Net's 2D U-Net, planned by its own rule for this patch; `width` multiplies its channels."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    plan = ARCHITECTURES["UNet"].plan((size, size))
    arguments = plan["arch_kwargs"]
    arguments["features_per_stage"] = [int(width * channels) for channels in arguments["features_per_stage"]]
    return get_network_from_plans(
        plan["network_class_name"],
        arguments,
        plan["_kw_requires_import"],
        CHANNELS,
        CLASSES,
        deep_supervision=False,
    )
