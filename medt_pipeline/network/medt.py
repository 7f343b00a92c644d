"""Local-global networks of the paper: LoGo and the Medical Transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from medt_pipeline.network.axial_layer import Form, Position
from medt_pipeline.network.blocks import AxialBranch
from medt_pipeline.network.heads import SegmentationHeads, require_size
from medt_pipeline.network.topology import Size, logo_topology


class LoGo(nn.Module):
    """A shallow global branch over the whole image and a deep local branch over its patches ("logo").

    Differences from the published `medt_net`:

    - The local branch covers images of any size. The published one is written out for 4 × 4 patches of 32 × 32, so
      that at other sizes it sees the top left 128 × 128 only. At 128 × 128 both are equal.
    - All patches go through the local branch as one batch. In training mode batch statistics are therefore taken
      over all patches of a step, where the published loop normalises each patch position by itself and moves the
      running statistics 16 times a step. In evaluation mode both are equal.
    - The unused `adjust_p` and `conv1` of the published code do not exist.
    - Depths and grid follow from the image size (`logo_topology`); optional outputs for deep supervision.

    Arguments, result and example: as `AxialUNet`.
    """

    global_position: ClassVar[Position] = "plain"
    local_position: ClassVar[Position] = "plain"

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
        topology = logo_topology(self.image_size)
        self.grid = topology.grid
        self.global_branch = AxialBranch(
            input_channels,
            topology.global_branch,
            base_width // 2,
            base_width,
            blocks,
            heads,
            self.global_position,
            form,
            bottom=False,
            recompute=recompute,
        )
        # The published code makes the local stem as wide as the global branch ends, 64 channels; that is kept.
        self.local_branch = AxialBranch(
            input_channels,
            topology.local_branch,
            4 * base_width,
            base_width,
            blocks,
            heads,
            self.local_position,
            form,
            bottom=True,
            recompute=recompute,
        )
        self.fusion = nn.Conv2d(base_width, base_width, kernel_size=3, padding=1)
        self.heads = SegmentationHeads(self.global_branch.output_channels, num_classes, deep_supervision)
        self.deep_supervision = deep_supervision

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits (cases, num_classes, H, W); with deep supervision a list, finest first.

        Raises:
            ValueError: `x` has another size than `image_size`.
        """
        require_size(x, self.image_size)
        of_image = self.global_branch(x)
        of_patches = self.local_branch(cut_into_patches(x, self.grid))
        joined = F.relu(self.fusion(of_image[0] + join_patches(of_patches[0], self.grid)))
        return self.heads([joined, *of_image[1:]], self.deep_supervision)


class MedT(LoGo):
    """Medical Transformer: `LoGo` with gated positions in the global branch and none in the local branch ("MedT").

    Source: Valanarasu et al. 2021, Medical Transformer: Gated Axial-Attention for Medical Image Segmentation, arXiv
    2102.10662. Differences from the published code: see `LoGo`. The paper's formula has positions in the local branch
    too; its code has none, and the code is followed.
    """

    global_position: ClassVar[Position] = "gated"
    local_position: ClassVar[Position] = "none"


def cut_into_patches(x: Tensor, grid: Size) -> Tensor:
    """(cases, C, H, W) → (cases × rows × columns, C, H / rows, W / columns), row by row, channels last."""
    rows, columns = grid
    patches = x.permute(0, 2, 3, 1).unflatten(2, (columns, -1)).unflatten(1, (rows, -1))
    return patches.transpose(2, 3).flatten(0, 2).permute(0, 3, 1, 2)


def join_patches(patches: Tensor, grid: Size) -> Tensor:
    """Inverse of `cut_into_patches`."""
    rows, columns = grid
    x = patches.permute(0, 2, 3, 1).unflatten(0, (-1, rows, columns))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
