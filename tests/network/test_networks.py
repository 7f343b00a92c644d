from __future__ import annotations

import pytest
import torch

from medt_pipeline.network import AxialUNet, GatedAxialUNet, LoGo, MedT, gate_parameters
from medt_pipeline.network.medt import cut_into_patches, join_patches

NETWORKS = [MedT, LoGo, GatedAxialUNet, AxialUNet]
SIZES = [(32, 48), (40, 16), (96, 64), (52, 78)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("form", ["published", "formula"])
@pytest.mark.parametrize("network", NETWORKS)
def test_any_size_and_every_parameter_has_a_gradient(network, form, size) -> None:
    torch.manual_seed(0)
    net = network(2, 5, size, form=form)
    logits = net(torch.randn(2, 2, *size))
    assert logits.shape == (2, 5, *size)
    logits.square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    without = {name for name, parameter in net.named_parameters() if not parameter.grad.any()}
    assert not without


@pytest.mark.parametrize("network", NETWORKS)
def test_deep_supervision_gives_finest_first_and_can_be_switched_off(network) -> None:
    net = network(3, 2, (64, 64), deep_supervision=True).eval()
    x = torch.randn(1, 3, 64, 64)
    outputs = net(x)
    assert [tuple(y.shape[-2:]) for y in outputs[:2]] == [(64, 64), (32, 32)]
    net.deep_supervision = False
    assert torch.equal(net(x), outputs[0])


@pytest.mark.parametrize("network", NETWORKS)
def test_another_size_is_refused(network) -> None:
    with pytest.raises(ValueError, match=r"\(64, 64\), got \(64, 96\)"):
        network(3, 2, (64, 64))(torch.zeros(1, 3, 64, 96))


def test_gates_act_in_the_formula_but_not_in_training_mode_as_published() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 32, 32)
    changes = {}
    for form in ("published", "formula"):
        net = GatedAxialUNet(3, 2, (32, 32), form=form).train()
        before = net(x)
        for gates in gate_parameters(net):
            with torch.no_grad():
                gates *= torch.tensor([4.0, 4.0, 4.0, 1.0]).reshape(4, *(1,) * (gates.ndim - 1))
        changes[form] = (net(x) - before).norm() / before.norm()
    assert changes["published"] < 0.1 * changes["formula"]


def test_plain_and_positionless_networks_have_no_gates() -> None:
    assert gate_parameters(AxialUNet(3, 2, (32, 32))) == []
    # 3 blocks of two layers: the global branch has two stages of 1 and 2 blocks.
    assert len(gate_parameters(MedT(3, 2, (32, 32)))) == 6


@pytest.mark.parametrize("grid", [(4, 3), (2, 5), (1, 3)])
def test_patches_are_cut_row_by_row_and_joined_again(grid) -> None:
    x = torch.arange(2 * 3 * 8 * 30.0).reshape(2, 3, 8, 30)
    patches = cut_into_patches(x, grid)
    height, width = 8 // grid[0], 30 // grid[1]
    assert torch.equal(patches[1], x[0, :, :height, width : 2 * width])
    assert torch.equal(join_patches(patches, grid), x)


def test_local_branch_sees_every_patch() -> None:
    torch.manual_seed(0)
    net = MedT(1, 2, (64, 96)).eval()
    x = torch.randn(1, 1, 64, 96, requires_grad=True)
    patches = net.local_branch(cut_into_patches(x, net.grid))[0]
    patches[-1].sum().backward()
    touched = x.grad[0, 0].abs().amax(0).nonzero().squeeze()
    assert touched.min() >= 96 - 96 // net.grid[1]


@pytest.mark.parametrize("grid", [(4, 3), (2, 5)])
def test_patches_and_joined_images_have_their_channels_last(grid) -> None:
    x = torch.randn(2, 3, 8, 30).to(memory_format=torch.channels_last)
    patches = cut_into_patches(x, grid)
    assert patches.is_contiguous(memory_format=torch.channels_last)
    assert join_patches(patches, grid).is_contiguous(memory_format=torch.channels_last)
