"""That the weights are shares: one process has the whole batch, so its loss is nnU-Net's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import distributed, nn

from medt_pipeline.training.loss import GroupLoss


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A group of one process."""
    meeting: Path = tmp_path_factory.mktemp("group") / "meeting"
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def _of_labels(batch_dice: bool, ignored: int | None) -> nn.Module:
    dice = {"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": False, "ddp": False}
    return DC_and_CE_loss(dice, {}, ignore_label=ignored, dice_class=MemoryEfficientSoftDiceLoss)


def _of_regions(batch_dice: bool, ignored: int | None) -> nn.Module:
    dice = {"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": True, "ddp": False}
    return DC_and_BCE_loss({}, dice, use_ignore_label=ignored is not None, dice_class=MemoryEfficientSoftDiceLoss)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("ignored", [None, 2])
@pytest.mark.parametrize("batch_dice", [True, False])
@pytest.mark.parametrize("make", [_of_labels, _of_regions])
def test_with_the_whole_batch_it_is_that_of_nnunet(make, batch_dice: bool, ignored: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(3, 2, 8, 8, generator=generator)
    target = torch.randint(0, 2 if ignored is None else 3, (3, 1, 8, 8), generator=generator)
    if make is _of_regions:
        count = 2 if ignored is None else 3
        target = torch.cat([(target == label).long() for label in range(count)], dim=1)
    results = []
    for loss in (make(batch_dice, ignored), GroupLoss(make(batch_dice, ignored))):
        x = output.clone().requires_grad_()
        value = loss(x, target)
        value.backward()
        results.append((value.detach(), x.grad))
    torch.testing.assert_close(results[1], results[0])
