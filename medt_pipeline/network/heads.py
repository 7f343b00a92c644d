"""From decoder maps to logits, and the check of the input size that all networks share."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from medt_pipeline.network.topology import Size


class SegmentationHeads(nn.Module):
    """1 × 1 convolutions from decoder maps to logits.

    Args:
        channels: channels of the decoder maps, finest first.
        num_classes: channels of the logits.
        deep_supervision: make heads for all maps but the coarsest, not for the finest alone.
        activate: apply ReLU before the convolution, as the published networks do. Their maps are non-negative already
            but for those that got a skip added.
    """

    def __init__(
        self, channels: Sequence[int], num_classes: int, deep_supervision: bool, activate: bool = True
    ) -> None:
        super().__init__()
        self.activate = activate
        used = channels[:-1] if deep_supervision else channels[:1]
        self.convs = nn.ModuleList(nn.Conv2d(count, num_classes, kernel_size=1) for count in used)

    def forward(self, maps: Sequence[Tensor], deep_supervision: bool) -> Tensor | list[Tensor]:
        """Logits of the finest map, or of all maps that have a head, finest first."""
        used = maps[: len(self.convs)] if deep_supervision else maps[:1]
        logits = [conv(F.relu(x) if self.activate else x) for conv, x in zip(self.convs, used, strict=False)]
        return logits if deep_supervision else logits[0]


def require_size(x: Tensor, image_size: Size) -> None:
    """Check that `x` (cases, channels, H, W) has the size for which the network was made.

    Raises:
        ValueError: it has not.
    """
    if tuple(x.shape[-2:]) != image_size:
        raise ValueError(f"the network was made for images of {image_size}, got {tuple(x.shape[-2:])}")
