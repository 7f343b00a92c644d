"""Prints how fast and how large the attention and MedT are beside their peers, as a table in Markdown.

    python -m tests.benchmarks.speed                          layer and network at 128, 256 and 512
    python -m tests.benchmarks.speed --work network --sizes 128 --rounds 9

All contenders of a table run in turn, round by round, in one process; the median is shown, with the ratio to nnU-Net's
PlainConvUNet (networks) or to the reference backend (layers). Peak memory is measured in a process of its own.
With MEDT_PUBLISHED naming a checkout of the published code, that runs too, at 128 with the same weights.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import platform
import statistics
import sys
from pathlib import Path

import torch

from tests.benchmarks import measure
from tests.benchmarks.contenders import Contender, contenders, input_of

BATCH = {"layer": {128: 4, 256: 2, 512: 1}, "network": {128: 4, 256: 2, 512: 1}}
PEER = {"layer": "reference backend", "network": "PlainConvUNet"}
SLOW = 10.0
"""A contender whose run takes longer than this many seconds gets three rounds only."""


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=("layer", "network"), default=["layer", "network"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 256, 512], metavar="PIXELS")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--skip", nargs="+", default=[], metavar="NAME", help="contenders to leave out")
    options = parser.parse_args()
    rate = measure.matmul_rate() if options.device == "cpu" else None
    print(_machine(options.device, rate), flush=True)
    for work in options.work:
        for size in options.sizes:
            print(table(work, size, options.rounds, options.device, rate, options.skip), flush=True)
    return 0


def table(
    work: str, size: int, rounds: int, device: str = "cpu", rate: float | None = None, skip: list[str] | None = None
) -> str:
    """Rows of one size: training step, inference of one image, bytes kept for the backward, peak bytes."""
    batch = BATCH[work].get(size, 1)
    x = input_of(work, size, batch).to(device)
    makers = {name: make for name, make in contenders(work, size).items() if name not in (skip or [])}
    made = {name: make() for name, make in makers.items()}
    for contender in made.values():
        contender.module.to(device)
    training = medians(made, "training step", x, rounds)
    inference = medians(made, "inference", x[:1], rounds)
    peer = PEER[work]
    lines = [
        f"\n**{work} at {size} × {size}**: training step of batch {batch}, inference of one image"
        + (_floor(made, x, rate) if work == "network" and rate else ""),
        "",
        f"| | step, s | × {peer} | inference, s | × {peer} | kept for backward, MB | peak of a step, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, contender in made.items():
        lines.append(
            f"| {name} | {training[name]:.3f} | {training[name] / training[peer]:.2f} "
            f"| {inference[name]:.4f} | {inference[name] / inference[peer]:.2f} "
            f"| {measure.saved_bytes(contender, x) / 1e6:.0f} | {_peak(work, size, name, batch, device)} |"
        )
    return "\n".join(lines)


def medians(made: dict[str, Contender], work: str, x: torch.Tensor, rounds: int) -> dict[str, float]:
    """Median seconds by contender, of interleaved rounds after one that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in made}
    slow = {name for name, contender in made.items() if measure.seconds(contender, work, x) > SLOW}
    for number in range(rounds):
        for name, contender in made.items():
            if number < 3 or name not in slow:
                taken[name].append(measure.seconds(contender, work, x))
    return {name: statistics.median(times) for name, times in taken.items()}


def _floor(made: dict[str, Contender], x: torch.Tensor, rate: float) -> str:
    """Seconds that a training step, three forwards of multiplications, takes at the rate of a matrix product."""
    counted = []
    for name in ("reference backend", "PlainConvUNet"):
        if name in made:
            with made[name].active() as module:
                forward = measure.operations(module, x)
            counted.append(
                f"{'MedT' if name != 'PlainConvUNet' else name} {forward / 1e9:.1f} GFLOP forward, "
                f"floor of a step {3 * forward / rate:.3f} s"
            )
    return "; " + "; ".join(counted) if counted else ""


def _peak(work: str, size: int, name: str, batch: int, device: str) -> str:
    """Peak memory of one training step in a fresh process."""
    if device != "cpu" or sys.platform != "linux":
        return "–"
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return f"{pool.apply(_peak_here, (work, size, name, batch)) / 1e6:.0f}"


def _peak_here(work: str, size: int, name: str, batch: int) -> int:
    contender, x = contenders(work, size)[name](), input_of(work, size, batch)
    # A small run first: what libraries and kernels load once is not the work's.
    small = input_of("layer", 32, 1)
    measure.seconds(contenders("layer", 32)["published form"](), "training step", small)
    return measure.peak_bytes(contender, "training step", x)


def _machine(device: str, rate: float | None) -> str:
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    text = f"{datetime.date.today()}, {name}, torch {torch.__version__}, Python {platform.python_version()}"
    if rate:
        text += f", {torch.get_num_threads()} threads, matrix product {rate / 1e9:.0f} GFLOP/s in float32"
    return text


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    raise SystemExit(main())
