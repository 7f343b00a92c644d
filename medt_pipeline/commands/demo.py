"""medt_demo: the whole road on drawn images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from medt_pipeline.commands._run import SUCCESS, make_parser, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Draw two small data sets, train on them, predict and score, in about four minutes on two CPU cores.",
        "medt_demo -o medt_demo",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("medt_demo"), metavar="DIR", help="default: medt_demo"
    )
    parser.add_argument("--seconds-per-fold", type=float, metavar="S", help="default: 24 and 54 for the two sets")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: %(default)s")
    return run(parser, _demo, arguments)


def _demo(options: argparse.Namespace) -> int:
    print("Loading …", flush=True)
    from medt_pipeline.demo.walk import DemoOptions, closing_words, run_demo
    from medt_pipeline.training.device import choose_device

    def say(line: str) -> None:
        print(line, flush=True)

    sizes = DemoOptions(seconds_per_fold=options.seconds_per_fold)
    run_demo(options.output, choose_device(options.device), say, sizes)
    print(closing_words(options.output))
    return SUCCESS
