from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from medt_pipeline.training.acceleration import (
    DeviceFacts,
    choose_acceleration,
    compiled_or_plain,
    device_facts,
    set_precision,
)


@pytest.mark.parametrize(
    ("facts", "precision", "tf32", "channels_last", "compiled"),
    [
        (DeviceFacts("cpu"), "float32", False, False, False),
        (DeviceFacts("mps"), "float32", False, False, False),
        (DeviceFacts("cuda", (6, 1), False, False), "float16", False, False, False),
        (DeviceFacts("cuda", (7, 5), False, True), "float16", False, True, True),
        (DeviceFacts("cuda", (8, 0), True, True), "bfloat16", True, True, True),
        (DeviceFacts("cuda", (9, 0), True, True, compile_wanted=False), "bfloat16", True, True, False),
        (DeviceFacts("cuda", (9, 0), True, True, windows=True), "bfloat16", True, True, False),
        (DeviceFacts("cuda", None, True, True), "bfloat16", False, True, True),
    ],
    ids=["cpu", "mps", "Pascal", "Turing", "Ampere", "Hopper, not to compile", "Windows", "AMD"],
)
def test_each_device_has_its_way_and_reasons(
    facts: DeviceFacts, precision: str, tf32: bool, channels_last: bool, compiled: bool
) -> None:
    chosen = choose_acceleration(facts)
    assert (chosen.precision, chosen.tf32, chosen.channels_last) == (precision, tf32, channels_last)
    assert chosen.compiled is compiled
    assert set(chosen.reasons) == {"precision", "tf32", "channels_last", "compiled"}
    assert all(chosen.reasons.values())
    assert chosen.to_json()["precision"] == precision


def test_a_cpu_is_left_as_it_is() -> None:
    cpu = torch.device("cpu")
    assert device_facts(cpu).kind == "cpu"
    assert set_precision(choose_acceleration(device_facts(cpu)), cpu) is None


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
