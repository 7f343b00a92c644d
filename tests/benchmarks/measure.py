"""Seconds, bytes and operations of a contender's work."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks.contenders import Contender


def training_step(module: nn.Module, x: Tensor) -> None:
    """Forward and backward in training mode."""
    module.train()
    module.zero_grad(set_to_none=True)
    module(x).square().mean().backward()


def inference(module: nn.Module, x: Tensor) -> None:
    """Forward in evaluation mode without gradients."""
    module.eval()
    with torch.no_grad():
        module(x)


def seconds(contender: Contender, work: str, x: Tensor) -> float:
    """Seconds of one run."""
    run = training_step if work == "training step" else inference
    with contender.active() as module:
        _wait(x)
        start = time.perf_counter()
        run(module, x)
        _wait(x)
        return time.perf_counter() - start


def saved_bytes(contender: Contender, x: Tensor) -> int:
    """Bytes of what autograd keeps between forward and backward, without parameters and input; storages count once."""
    sizes: dict[int, tuple[int, Tensor]] = {}
    with contender.active() as module:
        module.train()
        known = {tensor.untyped_storage().data_ptr() for tensor in (x, *module.parameters())}

        def remember(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                sizes[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
            kept = module(x)
    del kept
    return sum(size for size, _ in sizes.values())


def peak_bytes(contender: Contender, work: str, x: Tensor) -> int:
    """Most memory of this process during a run, over what it had before. Linux only."""
    return peak_of(lambda: seconds(contender, work, x))


def peak_of(run: Callable[[], object]) -> int:
    """Most memory of this process while it runs, over what it had before, in bytes. Linux only."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def operations(module: nn.Module, x: Tensor) -> float:
    """Floating point operations of multiplications in one forward, counted by torch with the reference backend."""
    with FlopCounterMode(display=False) as counter:
        module.eval()(x)
    return float(counter.get_total_flops())


def matmul_rate() -> float:
    """Floating point operations a second of a large float32 matrix product, the best of several."""
    a = torch.randn(2048, 2048)
    a @ a
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best


def _status(field: str) -> int:
    """A field of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()
