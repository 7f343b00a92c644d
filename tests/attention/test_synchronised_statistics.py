"""Statistics over two processes against those of one process that has all sequences."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing

from medt_pipeline.attention import similarity_statistics

SHARES = (1, 3)
"""Cases of each process; the last batch of an epoch need not be divisible."""
D_K, HEADS, LENGTH = 2, 3, 5


def _inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    # Their means differ, so that a mean of the processes' variances would be too small.
    shift = torch.arange(sum(SHARES), dtype=torch.float64)[:, None, None, None, None]
    qkv = shift + torch.randn(sum(SHARES), 2, HEADS, 4 * D_K, LENGTH, dtype=torch.float64, generator=generator)
    return qkv, torch.randn(4 * D_K, 2 * LENGTH - 1, dtype=torch.float64, generator=generator)


def _weighed(mean: Tensor, variance: Tensor, factor: float) -> Tensor:
    weights = torch.linspace(1, 2, mean.numel(), dtype=mean.dtype).view_as(mean)
    return factor * (weights * (mean + variance)).sum()


def _process(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=len(SHARES))
    qkv, relative = _inputs()
    mine = qkv.split(SHARES)[rank].requires_grad_()
    relative.requires_grad_()
    found = similarity_statistics(mine, relative, D_K).over_all_processes()
    # Each process has a loss of its own; together they are the loss of the single process.
    _weighed(found.mean, found.variance, 0.5 + rank).backward()
    result = {"mean": found.mean.detach(), "variance": found.variance.detach(), "count": found.count}
    torch.save(result | {"qkv": mine.grad, "relative": relative.grad}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_process, (str(tmp_path),), nprocs=len(SHARES))
    qkv, relative = (tensor.requires_grad_() for tensor in _inputs())
    expected = similarity_statistics(qkv, relative, D_K)
    _weighed(expected.mean, expected.variance, 0.5 + 1.5).backward()
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(len(SHARES))]
    for result in found:
        torch.testing.assert_close(result["mean"], expected.mean.detach())
        torch.testing.assert_close(result["variance"], expected.variance.detach())
        assert result["count"] == expected.count
    assert qkv.grad is not None
    torch.testing.assert_close(torch.cat([result["qkv"] for result in found]), qkv.grad)
    torch.testing.assert_close(sum(result["relative"] for result in found), relative.grad)


def test_one_process_is_left_alone() -> None:
    statistics = similarity_statistics(*_inputs(), D_K)
    assert statistics.over_all_processes() is statistics
