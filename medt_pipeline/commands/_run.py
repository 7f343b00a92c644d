"""What all commands share: exit status, --debug, and the option for the workspace."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from medt_pipeline import __version__
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.interruption import interrupt_on_termination

SUCCESS, PARTLY, USER_MISTAKE, DEFECT, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit status: done; done but for inputs listed at the end; refused; a defect of ours; stopped by Ctrl-C or SIGTERM."""


def make_parser(description: str, example: str) -> argparse.ArgumentParser:
    """Parser with strict option names, one example, --workspace, --debug and --version."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"Example:\n  {example}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common_options(parser)
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def add_common_options(parser: argparse.ArgumentParser, *, inherited: bool = False) -> None:
    """Add --workspace and --debug.

    Args:
        inherited: for the parser of a subcommand, where the options may stand before or after the subcommand: without
            a default of its own, it does not undo what the parser above has read.
    """
    parser.add_argument(
        "--workspace",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS if inherited else None,
        help="default: MEDT_WORKSPACE, nnU-Net's variables or ./medt_workspace",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS if inherited else False,
        help="show the traceback of an error",
    )


def positive(text: str) -> float:
    """A number above 0, as the type of an option.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 10_000:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def add_cluster_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --on; `what` it does there."""
    parser.add_argument(
        "--on", metavar="CLUSTER", help=f"{what} on a Ray cluster: ray, ray:HOST:PORT or ray://HOST:PORT"
    )


def run(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse `arguments` (default: those of the process), call `command`, and turn exceptions into sentences."""
    options = parser.parse_args(arguments)
    try:
        with interrupt_on_termination():
            return command(options)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SUCCESS
    except UserError as error:
        return _report(str(error), USER_MISTAKE, options.debug)
    except OSError as error:
        return _report(_explain(error), USER_MISTAKE, options.debug)
    except Exception as error:
        problem = _memory_problem(error)
        if problem is not None:
            return _report(problem, USER_MISTAKE, options.debug)
        message = f"Unexpected {type(error).__name__}: {error}. This is a defect; run again with --debug and report it."
        return _report(message, DEFECT, options.debug)


def _memory_problem(error: Exception) -> str | None:
    """A sentence where Python, or torch on any device, ran out of memory, or a process was ended as then happens."""
    text = str(error)
    if isinstance(error, RuntimeError) and "background workers are no longer alive" in text:
        what = "A process that loads images was ended, most often because memory ran out"
    # torch's own error, which is not imported here; on CPUs it has no name of its own
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in text:
        what = "Memory ran out"
    else:
        return None
    return (
        f"{what}; end other programs, or plan for less (medt_plan_and_preprocess --memory 4GB), and run the same "
        "command again: a training goes on with --resume."
    )


def _report(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    return status


def _explain(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk, or your share of it, is full{where}; free some space and run the same command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Writing or reading is not permitted{where}; check the rights or choose another folder."
    return f"{error.strerror or error}{where}."
