"""nnU-Net's loss for processes that have a part of the batch each: their mean is the loss of the whole batch."""

from __future__ import annotations

from typing import Any

import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.dice import SoftDiceLoss
from torch import Tensor, distributed, nn


class GroupLoss(nn.Module):
    """A loss of nnU-Net, weighed so that the mean over processes, of value and gradient, is that of the whole batch.

    DistributedDataParallel takes the mean of the gradients of all processes, which is that of the whole batch only
    where all have equal parts. Cross-entropy is a mean over pixels that are labelled, so it is weighed by their share;
    Dice of each image is a mean over images, so it is weighed by theirs. Dice of the batch comes from sums over all
    processes; any weights that add up to the number of processes leave it as it is.

    Args:
        loss: of nnU-Net; its Dice is replaced where it is that of the batch: nnU-Net's default gathers the sums of
            each image, which needs equal parts, its `SoftDiceLoss` those of all images of a process.
    """

    def __init__(self, loss: DC_and_CE_loss | DC_and_BCE_loss) -> None:
        super().__init__()
        self.loss: Any = loss
        self._weights = float(loss.weight_ce), float(loss.weight_dice)
        if loss.dc.batch_dice:
            loss.dc = SoftDiceLoss(loss.dc.apply_nonlin, True, loss.dc.do_bg, loss.dc.smooth, ddp=True)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of (cases, classes, H, W) against (cases, 1 or regions, H, W); every process must call it."""
        cases = torch.tensor(len(target), dtype=torch.float64, device=target.device)
        here = torch.stack([self._labelled_pixels(target), cases])
        everywhere = here.clone()
        distributed.all_reduce(everywhere)
        shares = (distributed.get_world_size() * here / everywhere.clamp_min(1)).float()
        self.loss.weight_ce, self.loss.weight_dice = (
            weight * share if weight else 0 for weight, share in zip(self._weights, shares, strict=True)
        )
        weighed: Tensor = self.loss(output, target)
        return weighed

    def _labelled_pixels(self, target: Tensor) -> Tensor:
        """Number of pixels that are not to be ignored."""
        if isinstance(self.loss, DC_and_BCE_loss):
            labelled = target[:, -1:] == 0 if self.loss.use_ignore_label else torch.ones_like(target[:, :1])
        else:
            label = self.loss.ignore_label
            labelled = torch.ones_like(target) if label is None else target != label
        return labelled.sum(dtype=torch.float64)
