from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn

from medt_pipeline.network.hybrid import HybridMedT
from medt_pipeline.training.acceleration import (
    DeviceFacts,
    choose_acceleration,
    compiled_or_plain,
    device_facts,
    forget_graphs,
    mixed_precision,
    record_graphs,
    set_precision,
)


@pytest.mark.parametrize(
    ("facts", "precision", "tf32", "compiled", "graphed"),
    [
        (DeviceFacts("cpu"), "float32", False, False, False),
        (DeviceFacts("cpu", bfloat16=True), "bfloat16", False, False, False),
        (DeviceFacts("mps"), "float32", False, False, False),
        (DeviceFacts("cuda", (6, 1), False, False), "float16", False, False, True),
        (DeviceFacts("cuda", (7, 5), False, True), "float16", False, False, True),
        (DeviceFacts("cuda", (8, 0), True, True), "bfloat16", True, False, True),
        (DeviceFacts("cuda", (9, 0), True, True, compile_wanted=True), "bfloat16", True, True, False),
        (DeviceFacts("cuda", (9, 0), True, True, compile_wanted=False), "bfloat16", True, False, True),
        (DeviceFacts("cuda", (9, 0), True, True, True, True), "bfloat16", True, False, True),
        (DeviceFacts("cuda", None, True, True), "bfloat16", False, False, False),
    ],
    ids=[
        "cpu",
        "cpu with AMX",
        "mps",
        "Pascal",
        "Turing",
        "Ampere",
        "Hopper, to compile",
        "Hopper, not to compile",
        "Windows, to compile",
        "AMD",
    ],
)
def test_each_device_has_its_way_and_reasons(
    facts: DeviceFacts, precision: str, tf32: bool, compiled: bool, graphed: bool
) -> None:
    chosen = choose_acceleration(facts)
    assert (chosen.precision, chosen.tf32) == (precision, tf32)
    assert (chosen.compiled, chosen.graphed) == (compiled, graphed)
    assert set(chosen.reasons) == {"precision", "tf32", "compiled", "graphed"}
    assert all(chosen.reasons.values())
    assert chosen.to_json()["precision"] == precision


def test_what_failed_is_noted_and_left_out() -> None:
    chosen = choose_acceleration(DeviceFacts("cuda", (9, 0), True, True))
    assert chosen.without("compiled").graphed
    left = chosen.without("graphed")
    assert (left.precision, left.compiled, left.graphed) == ("bfloat16", False, False)
    assert left.reasons == {**chosen.reasons, "graphed": "it failed on the first step"}


@pytest.mark.parametrize(
    ("has_amx", "allowed", "bfloat16"),
    [
        (True, None, True),
        (True, "DEFAULT", True),
        (True, "avx512_core_amx", True),
        (True, "AVX512_CORE_BF16", False),
        (False, None, False),
        (None, None, False),
    ],
)
def test_a_cpu_with_amx_multiplies_bfloat16_unless_onednn_is_told_not_to(
    monkeypatch: pytest.MonkeyPatch, has_amx: bool | None, allowed: str | None, bfloat16: bool
) -> None:
    cpu = torch.device("cpu")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if allowed is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", allowed)
    if has_amx is None:
        monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx, raising=False)
    chosen = choose_acceleration(device_facts(cpu))
    assert chosen.precision == ("bfloat16" if bfloat16 else "float32")
    assert set_precision(chosen, cpu) is None
    convolution = nn.Conv2d(1, 2, 3)
    with mixed_precision(chosen, cpu):
        assert (convolution(torch.ones(1, 1, 4, 4)).dtype == torch.bfloat16) is bfloat16


class Broken(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        self.network(x)
        raise RuntimeError("no compiler\nand more")


def test_where_compilation_fails_training_goes_on_with_one_line_of_warning() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    with pytest.warns(UserWarning, match=r"does not work here \(no compiler\); training goes on without it") as told:
        assert compiled_or_plain(Broken(plain), plain, torch.ones(2, 1, 4, 4)) is plain
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled_or_plain(plain, plain, torch.ones(2, 1, 4, 4)) is plain
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())
    assert all(one.grad is None for one in plain.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA graphs work here")
@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
def test_where_graphs_cannot_be_recorded_the_network_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.warns(UserWarning, match="A CUDA graph does not work here"):
        assert not record_graphs(network, torch.ones(2, 1, 4, 4))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network(torch.ones(2, 1, 4, 4)).sum().backward()


def test_graphs_are_forgotten() -> None:
    network = nn.Conv2d(1, 2, 1)
    x = torch.ones(1, 1, 2, 2)
    expected = network(x)
    network.forward = lambda x: 2 * expected  # as torch.cuda.make_graphed_callables does
    assert torch.equal(network(x), 2 * expected)
    for _ in range(2):
        forget_graphs(network)
        assert torch.equal(network(x), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_what_is_recorded_gives_the_plain_network_s_results_and_gradients() -> None:
    torch.manual_seed(0)
    plain = HybridMedT(3, 2, (32, 48), "S", deep_supervision=True).cuda()
    recorded = copy.deepcopy(plain)
    assert record_graphs(recorded, torch.zeros(2, 3, 32, 48, device="cuda"))
    for _ in range(2):
        x = torch.randn(2, 3, 32, 48, device="cuda")
        found = []
        for network in (plain, recorded):
            network.zero_grad(set_to_none=True)
            with torch.autocast("cuda"):
                logits = network(x)
            sum(one.float().square().mean() for one in logits).backward()
            found.append([*logits, *(one.grad for one in network.parameters())])
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(ours, theirs)
    assert recorded.eval()(torch.randn(1, 3, 64, 64, device="cuda"))[0].shape == (1, 2, 64, 64)
    forget_graphs(recorded)
    assert recorded.train()(torch.randn(1, 3, 64, 64, device="cuda"))[0].shape == (1, 2, 64, 64)
