"""The operating system's record of how much memory a process has had at most."""

from __future__ import annotations

import resource
import sys


def peak_bytes(usage: resource.struct_rusage) -> int:
    """Largest resident memory in what `getrusage` or `wait4` tells: Linux counts in KiB, macOS in bytes."""
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
