"""Prints what precision, order, graphs and compilation bring on a CUDA device, as a table in Markdown.

    python -m tests.benchmarks.acceleration                 the planned network at 512 x 512, batch 8
    python -m tests.benchmarks.acceleration --size 256 --batch 32 --rounds 30

All run in turn, round by round, and the median is shown with the ratio to
plain float32. Peaks of memory are those of the device.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass

import torch
from torch import nn

from medt_pipeline.network.hybrid import HybridMedT
from medt_pipeline.training.acceleration import Precision, record_graphs


@dataclass(frozen=True)
class Way:
    """How a step is computed."""

    name: str
    precision: Precision = "float32"
    tf32: bool = False
    channels_last: bool = False
    compiled: bool = False
    graphed: bool = False


WAYS = (
    Way("float32"),
    Way("TF32", tf32=True),
    Way("float16", "float16", True),
    Way("bfloat16", "bfloat16", True),
    Way("bfloat16, weights channels last", "bfloat16", True, channels_last=True),
    Way("bfloat16, compiled", "bfloat16", True, compiled=True),
    Way("bfloat16, recorded as graphs", "bfloat16", True, graphed=True),
)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, metavar="PIXELS")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu only to try the command")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here.", file=sys.stderr)
        return 2
    ways = WAYS if options.device == "cuda" else WAYS[:1]
    print("\n".join(table(ways, options.size, options.batch, options.rounds, torch.device(options.device))))
    return 0


def table(ways: tuple[Way, ...], size: int, batch: int, rounds: int, device: torch.device) -> list[str]:
    """Lines of the table: seconds of a training step, ratio to the first way, peak of memory."""
    x = torch.rand(batch, 3, size, size, device=device)
    networks = {way: network_of(way, size, batch, device) for way in ways}
    taken: dict[Way, list[float]] = {way: [] for way in ways}
    peaks: dict[Way, float] = {}
    for number in range(rounds + 1):
        for way, network in networks.items():
            seconds, peaks[way] = step(way, network, x)
            if number:  # the first compiles
                taken[way].append(seconds)
    medians = {way: statistics.median(times) for way, times in taken.items()}
    return [
        f"step of batch {batch} at {size} × {size}, torch {torch.__version__}, {device}",
        "",
        "| | step, s | × float32 | peak, MB |",
        "|---|---|---|---|",
        *(
            f"| {way.name} | {medians[way]:.4f} | {medians[way] / medians[ways[0]]:.2f} | {peaks[way]:.0f} |"
            for way in ways
        ),
    ]


def network_of(way: Way, size: int, batch: int, device: torch.device) -> nn.Module:
    """The planned network as `way` says."""
    torch.manual_seed(0)
    network: nn.Module = HybridMedT(3, 2, (size, size), "M").to(device)
    if way.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if way.compiled:
        network.compile()
    if way.graphed:
        torch.set_autocast_dtype("cuda", getattr(torch, way.precision))
        record_graphs(network, torch.zeros(batch, 3, size, size, device=device))
    return network


def step(way: Way, network: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """Seconds and peak megabytes of one forward and backward."""
    device = x.device.type
    torch.set_float32_matmul_precision("high" if way.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = way.tf32
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = _now(device)
    with torch.autocast(device, getattr(torch, way.precision), enabled=way.precision != "float32"):
        result = network(x)
    sum(one.float().mean() for one in (result if isinstance(result, (list, tuple)) else [result])).backward()
    seconds = _now(device) - began
    network.zero_grad(set_to_none=True)
    peak = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else float("nan")
    return seconds, peak


def _now(device: str) -> float:
    """Seconds, when the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    raise SystemExit(main())
