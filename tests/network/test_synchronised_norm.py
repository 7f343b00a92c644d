"""Batch normalisation in two processes against torch's own with the whole batch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing, nn

from medt_pipeline.network.synchronised_norm import SynchronisedBatchNorm, is_synchronised, synchronise

SHARES = (1, 3)
CHANNELS = 5


def _inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    # Means differ between cases, so that a mean of the parts' variances would be too small.
    x = torch.randn(sum(SHARES), CHANNELS, 4, 6, dtype=torch.float64, generator=generator)
    return x + torch.arange(sum(SHARES))[:, None, None, None], torch.randn(x.shape, dtype=x.dtype, generator=generator)


def _norm() -> nn.Sequential:
    norm = nn.BatchNorm2d(CHANNELS).double()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
        norm.bias.copy_(torch.linspace(-1, 1, CHANNELS))
    return nn.Sequential(norm)


def _run(network: nn.Sequential, x: Tensor, factors: Tensor) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    y = network(x)
    (y * factors).sum().backward()
    assert x.grad is not None
    gradients = {f"of {name}": value.grad for name, value in network.named_parameters()}
    return {"y": y.detach(), "x": x.grad, **gradients, **dict(network.named_buffers())}


def _process(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=len(SHARES))
    mine = [one.split(SHARES)[rank] for one in _inputs()]
    torch.save(_run(synchronise(_norm(), torch.device("cpu")), *mine), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_process, (str(tmp_path),), nprocs=len(SHARES))
    expected = _run(_norm(), *_inputs())
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(len(SHARES))]
    for name, value in expected.items():
        if name in ("y", "x"):
            torch.testing.assert_close(torch.cat([one[name] for one in found]), value)
        elif name.startswith("of "):
            torch.testing.assert_close(sum(one[name] for one in found), value)
        else:
            assert all(torch.equal(one[name], found[0][name]) for one in found)
            torch.testing.assert_close(found[0][name], value)


def test_it_keeps_parameters_statistics_and_evaluation() -> None:
    plain = _norm()
    _run(plain, *_inputs())
    before = dict(plain.state_dict())
    expected = plain.eval()(_inputs()[0])
    made = synchronise(plain, torch.device("cpu"))
    assert isinstance(made[0], SynchronisedBatchNorm)
    assert is_synchronised(made[0])
    assert {name: value.data_ptr() for name, value in made.state_dict().items()} == {
        name: value.data_ptr() for name, value in before.items()
    }
    assert torch.equal(made(_inputs()[0]), expected)
