from __future__ import annotations

import copy
import io
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from medt_pipeline.network import HybridMedT, gate_parameters
from medt_pipeline.network.hybrid import SIZES
from medt_pipeline.network.hybrid_blocks import GatedAxialAttention
from medt_pipeline.network.medt import cut_into_patches
from tests.benchmarks.contenders import unet

SMALL = {"widths": (8, 8, 16, 16, 16), "blocks": (1, 1, 2)}


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    torch.manual_seed(0)
    yield


@pytest.mark.parametrize("size", [(16, 16), (33, 50), (100, 77), (64, 96)], ids=str)
@pytest.mark.parametrize("local_branch", [True, False], ids=["local", "global"])
def test_any_size_and_every_parameter_has_a_gradient(local_branch: bool, size) -> None:
    net = HybridMedT(2, 5, size, local_branch=local_branch, deep_supervision=True, **SMALL)
    outputs = net(torch.randn(2, 2, *size))
    assert outputs[0].shape == (2, 5, *size)
    sum(logits.square().mean() for logits in outputs).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("norm", ["group", "layer", "batch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_norm_keeps_channels_last_everywhere(channels: int, norm) -> None:
    net = HybridMedT(channels, 2, (32, 48), norm=norm, **SMALL)
    lost = []

    def watch(module: nn.Module, inputs: object, output: Tensor) -> None:
        if not output.is_contiguous(memory_format=torch.channels_last):
            lost.append(module)

    for name, module in net.named_modules():
        if not list(module.children()) and name != "stem.levels.0.0.conv":
            module.register_forward_hook(watch)
    net(torch.randn(1, channels, 32, 48))
    assert not lost


@pytest.mark.parametrize("made_for", [(64, 64), (48, 80)], ids=str)
@pytest.mark.parametrize("run_at", [(96, 96), (40, 64), (33, 50)], ids=str)
def test_runs_at_other_sizes_than_it_was_made_for(made_for, run_at) -> None:
    net = HybridMedT(1, 2, made_for, **SMALL)
    logits = net(torch.randn(1, 1, *run_at))
    assert logits.shape == (1, 2, *run_at)
    assert torch.isfinite(logits).all()


def test_a_smaller_image_uses_the_middle_of_the_tables() -> None:
    large = HybridMedT(1, 2, (96, 96), local_branch=False, **SMALL)
    small = HybridMedT(1, 2, (64, 64), local_branch=False, **SMALL)
    weights = large.state_dict()
    for name, value in small.state_dict().items():
        surplus = weights[name].shape[-1] - value.shape[-1] if name.endswith("relative") else 0
        if surplus:
            weights[name] = weights[name][:, surplus // 2 : -(surplus // 2)]
    small.load_state_dict(weights)
    x = torch.randn(1, 1, 64, 64)
    torch.testing.assert_close(large(x), small(x))


def test_local_branch_reaches_the_output_from_every_pixel_and_sees_only_its_patch() -> None:
    # Layer norm, because statistics over an image connect all its pixels whatever a branch does.
    net = HybridMedT(1, 2, (64, 90), norm="layer", **SMALL)
    channels = SMALL["widths"][1]
    x = torch.randn(1, channels, 32, 45, requires_grad=True)
    maps = net.global_branch(x.detach())
    sum(one.square().sum() for one in net._with_local(x, net.local_branch, maps)).backward()
    assert (x.grad != 0).any(1).all()

    patches = cut_into_patches(torch.randn(1, channels, 32, 48), (4, 6)).requires_grad_()
    assert patches.shape[-2:] == net.patch_size
    sum(found[5].sum() for found in net.local_branch(patches, 24)).backward()
    assert (patches.grad[5] != 0).any()
    assert not patches.grad[[*range(5), *range(6, 24)]].any()


def test_local_maps_lie_where_their_patches_were() -> None:
    net = HybridMedT(1, 2, (64, 96), norm="layer", **SMALL)
    x = torch.zeros(1, SMALL["widths"][1], 32, 48)
    changed = x.clone()
    changed[..., 8:16, 40:48] = 1
    maps = [torch.zeros(1, width, 64 // 2**level, 96 // 2**level) for level, width in enumerate(SMALL["widths"])][2:]
    before, after = (net._with_local(of_stem, net.local_branch, maps) for of_stem in (x, changed))
    differs = (before[0] != after[0]).any(1)[0]
    rows, columns = differs.any(1).nonzero().flatten(), differs.any(0).nonzero().flatten()
    assert (int(rows[0]), int(rows[-1]) + 1) == (4, 8)
    assert (int(columns[0]), int(columns[-1]) + 1) == (20, 24)
    assert all(torch.equal(*pair) for pair in zip(before[1:], after[1:], strict=True)), "patches of 16 have one map"


def test_deep_supervision_gives_finest_first_and_can_be_switched_off() -> None:
    net = HybridMedT(3, 2, (64, 96), deep_supervision=True, **SMALL).eval()
    x = torch.randn(1, 3, 64, 96)
    outputs = net(x)
    assert [tuple(y.shape[-2:]) for y in outputs] == [(64, 96), (32, 48), (16, 24), (8, 12)]
    net.deep_supervision = False
    assert torch.equal(net(x), outputs[0])
    assert not hasattr(net, "decoder"), "nnU-Net's trainers would look for the switch there"
    assert not hasattr(net, "initialize"), "nnU-Net would overwrite the initialisation with it"


def test_switches_for_ablation_take_away_what_they_say() -> None:
    def attentions(**options: object) -> list[GatedAxialAttention]:
        net = HybridMedT(1, 2, (64, 64), **SMALL, **options)
        return [module for module in net.modules() if isinstance(module, GatedAxialAttention)]

    # Two each in four global blocks, and in the one of the local branch that patches of 16 × 16 leave.
    assert len(attentions()) == 10
    assert len(attentions(local_branch=False)) == 8
    assert not attentions(attention="identity")
    assert all(layer.positions for layer in attentions())
    assert not any(layer.positions for layer in attentions(positions=False))
    names = {name for name, _ in HybridMedT(1, 2, (64, 64), positions=False, **SMALL).named_parameters()}
    assert not [name for name in names if name.endswith(("relative", "gates"))]
    assert len(gate_parameters(HybridMedT(1, 2, (64, 64), **SMALL))) == 10
    assert not gate_parameters(HybridMedT(1, 2, (64, 64), gates="fixed", **SMALL))


def test_gates_act() -> None:
    net = HybridMedT(1, 2, (64, 64), **SMALL)
    x = torch.randn(2, 1, 64, 64)
    before = net(x)
    for gates in gate_parameters(net):
        torch.nn.init.ones_(gates)
    # Blocks start with a tenth of what they compute, and attention with an even view of maps whose mean is zero.
    assert (net(x) - before).norm() > 1e-4 * before.norm()


def test_evaluation_is_the_same_every_time_and_as_training_without_stochastic_depth() -> None:
    net = HybridMedT(1, 2, (32, 48), stochastic_depth=0.5, **SMALL)
    x = torch.randn(2, 1, 32, 48)
    assert not torch.equal(net(x), net(x))
    torch.manual_seed(1)
    drawn = net(x)
    torch.manual_seed(1)
    assert torch.equal(net(x), drawn)
    evaluated = net.eval()(x)
    assert torch.equal(net(x), evaluated)
    plain = HybridMedT(1, 2, (32, 48), **SMALL).train()
    plain.load_state_dict(net.state_dict())
    assert torch.equal(plain(x), evaluated)


def test_state_is_data_and_loads_strictly() -> None:
    net = HybridMedT(1, 2, (32, 48), deep_supervision=True, gates="fixed", **SMALL)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = HybridMedT(1, 2, (32, 48), deep_supervision=True, gates="fixed", **SMALL)
    other.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(1, 1, 32, 48)
    assert all(map(torch.equal, net(x), other(x)))


@pytest.mark.parametrize(("size", "least", "most"), [("S", 0.9, 1.1), ("M", 3.6, 4.0), ("L", 11, 12)])
def test_parameters_of_each_size_in_millions(size: str, least: float, most: float) -> None:
    net = HybridMedT(3, 2, (128, 128), size=size)
    assert least < sum(parameter.numel() for parameter in net.parameters()) / 1e6 < most


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "XL"}, "one of S, M, L; got 'XL'"),
        ({"widths": (8, 16, 32)}, "widths must be 5"),
        ({"blocks": (1, 1)}, "blocks 3 numbers"),
        ({"widths": (8, 16, 32, 60, 64)}, "multiples of 8"),
    ],
    ids=str,
)
def test_impossible_sizes_are_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HybridMedT(1, 2, (64, 64), **arguments)


def test_arithmetic_of_the_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the reference's operators are known to the counter.
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", "reference")

    def count(net: nn.Module) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(torch.zeros(1, 3, 128, 128))
        return counter.get_total_flops()

    small, medium, large = (count(HybridMedT(3, 2, (128, 128), size=size)) for size in SIZES)
    assert 0.2 < small / medium < 0.4
    assert 0.7 < large / count(unet(128)) < 1


def test_recomputing_changes_nothing_but_memory() -> None:
    def step(net: nn.Module) -> tuple[Tensor, int]:
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = net(x)
        logits.sin().sum().backward()
        return logits.detach(), sum(kept.values())

    plain = HybridMedT(2, 3, (64, 64), **SMALL).double()
    saving = HybridMedT(2, 3, (64, 64), recompute=True, **SMALL).double()
    saving.load_state_dict(copy.deepcopy(plain.state_dict()))
    x = torch.randn(2, 2, 64, 64, dtype=torch.float64)
    (expected, bytes_plain), (found, bytes_saving) = step(plain), step(saving)
    torch.testing.assert_close(found, expected)
    assert bytes_saving < 0.5 * bytes_plain
    for (name, ours), theirs in zip(saving.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def test_autocast_is_near_single_precision() -> None:
    net = HybridMedT(1, 2, (64, 64), **SMALL)
    x = torch.randn(2, 1, 64, 64)
    expected = net(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = net(x)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).norm() < 0.1 * expected.norm()
    found.float().square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_exports_to_one_graph() -> None:
    net = HybridMedT(1, 2, (32, 48), **SMALL).eval()
    x = torch.randn(1, 1, 32, 48)
    exported = torch.export.export(net, (x,))
    torch.testing.assert_close(exported.module()(x), net(x))


def test_learns_to_find_a_drawn_shape() -> None:
    net = HybridMedT(1, 2, (32, 32), **SMALL)
    target = torch.zeros(2, 32, 32, dtype=torch.long)
    target[0, 8:20, 4:16] = target[1, 12:28, 10:26] = 1
    x = target[:, None] + 0.5 * torch.randn(2, 1, 32, 32)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), target)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
