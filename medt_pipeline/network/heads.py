"""From decoder maps to logits, and the check of the input size that all networks share."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from medt_pipeline.network.topology import Size


class SegmentationHeads(nn.Module):
    """ReLU and 1 × 1 convolutions from decoder maps to logits, as in the published networks.

    Their maps are non-negative already but for those that got a skip added.

    Args:
        channels: channels of the decoder maps, finest first.
        num_classes: channels of the logits.
        deep_supervision: make heads for all maps but the coarsest, not for the finest alone.
    """

    def __init__(self, channels: Sequence[int], num_classes: int, deep_supervision: bool) -> None:
        super().__init__()
        used = channels[:-1] if deep_supervision else channels[:1]
        self.convs = nn.ModuleList(nn.Conv2d(count, num_classes, kernel_size=1) for count in used)

    @property
    def scales(self) -> int:
        """How many logits there are with deep supervision, each half as high and wide as the one before."""
        return len(self.convs)

    def forward(self, maps: Sequence[Tensor], deep_supervision: bool) -> Tensor | list[Tensor]:
        """Logits of the finest map, or of all maps that have a head, finest first."""
        used = maps[: len(self.convs)] if deep_supervision else maps[:1]
        logits = [conv(F.relu(x)) for conv, x in zip(self.convs, used, strict=False)]
        return logits if deep_supervision else logits[0]


class PyramidHeads(nn.Module):
    """Logits of each decoder map: those of the coarser one, enlarged, and what a 1 × 1 convolution of the map adds.

    So a fine map, which has few channels, need not find anew what the coarse ones know. A head of its own on 16
    channels can come to rest without one of the classes: docs/explanation/network.md.

    Source: Ghiasi and Fowlkes 2016, Laplacian Pyramid Reconstruction and Refinement for Semantic Segmentation, arXiv
    1605.02264; without its masks.

    Args:
        channels: channels of the decoder maps, finest first; all but the coarsest have a head.
        num_classes: channels of the logits.
    """

    def __init__(self, channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.details = nn.ModuleList(nn.Conv2d(count, num_classes, kernel_size=1) for count in channels[:-1])

    @property
    def scales(self) -> int:
        """How many logits there are with deep supervision, each half as high and wide as the one before, rounded up."""
        return len(self.details)

    def forward(self, maps: Sequence[Tensor], deep_supervision: bool) -> Tensor | list[Tensor]:
        """Logits of the finest map, or of all maps that have a head, finest first."""
        logits: list[Tensor] = []
        for detail, x in reversed(list(zip(self.details, maps, strict=False))):
            added = detail(x)
            if logits:
                enlarged = F.interpolate(logits[0], scale_factor=2, mode="bilinear")
                # Twice the half of an odd side is one more.
                added = added + enlarged[..., : added.shape[-2], : added.shape[-1]]
            logits.insert(0, added)
        return logits if deep_supervision else logits[0]


def require_size(x: Tensor, image_size: Size) -> None:
    """Check that `x` (cases, channels, H, W) has the size for which the network was made.

    Raises:
        ValueError: it has not.
    """
    if tuple(x.shape[-2:]) != image_size:
        raise ValueError(f"the network was made for images of {image_size}, got {tuple(x.shape[-2:])}")
