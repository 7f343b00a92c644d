"""The axial U-Nets of the paper: one branch over the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from medt_pipeline.network.axial_layer import Form, Position
from medt_pipeline.network.blocks import AxialBranch
from medt_pipeline.network.heads import SegmentationHeads, require_size
from medt_pipeline.network.topology import Size, unet_topology


class AxialUNet(nn.Module):
    """U-Net with axial attention and ungated relative positions in the encoder ("axialunet" of the published code).

    Differences from the published `ResAxialAttentionUNet`: sides need not be equal nor multiples of 32, fewer than
    four stages where the image is small, and the optional outputs of deep supervision; for the rest see
    `AxialAttentionLayer`.

    Args:
        input_channels: channels of the image.
        num_classes: channels of the output.
        image_size: (height, width); the network accepts this size only.
        base_width: attention channels of the first stage, a multiple of 2 × `heads`.
        blocks: axial blocks of each stage.
        heads: attention heads.
        form: where normalisation stands; see `axial_layer.Form`.
        deep_supervision: also predict from the coarser decoder maps. The heads for it exist only where this was true at
            construction; afterwards `network.deep_supervision` switches their use.
        recompute: run the axial blocks again in the backward instead of keeping what they compute: two fifths of what
            is kept, for a sixth to a third more time. Running statistics move once all the same.

    Example:
        >>> import torch
        >>> AxialUNet(3, 2, (64, 96))(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 2, 64, 96])
    """

    position: ClassVar[Position] = "plain"

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        image_size: Size,
        base_width: int = 16,
        blocks: Sequence[int] = (1, 2, 4, 1),
        heads: int = 8,
        form: Form = "published",
        deep_supervision: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.image_size = (int(image_size[0]), int(image_size[1]))
        topology = unet_topology(self.image_size)
        self.branch = AxialBranch(
            input_channels,
            topology,
            base_width // 2,
            base_width,
            blocks,
            heads,
            self.position,
            form,
            bottom=True,
            recompute=recompute,
        )
        self.heads = SegmentationHeads(self.branch.output_channels, num_classes, deep_supervision)
        self.deep_supervision = deep_supervision

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits (cases, num_classes, H, W); with deep supervision a list, finest first.

        Raises:
            ValueError: `x` has another size than `image_size`.
        """
        require_size(x, self.image_size)
        return self.heads(self.branch(x), self.deep_supervision)


class GatedAxialUNet(AxialUNet):
    """`AxialUNet` with gates on its position terms ("gatedaxialunet" of the published code)."""

    position: ClassVar[Position] = "gated"
