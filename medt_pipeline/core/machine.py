"""How much memory this machine lets its programs have."""

from __future__ import annotations

from pathlib import Path

import psutil

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells the limit of a container, version 2 and version 1."""


def memory_gb(limits: tuple[Path, ...] = CGROUP_LIMITS) -> float:
    """Memory in GB (10⁹ bytes): the machine's, or the limit of the container where that is lower."""
    bounds = [psutil.virtual_memory().total]
    for file in limits:
        # Without a limit, version 2 says "max" and version 1 a number beyond all memory.
        text = file.read_text(encoding="ascii").strip() if file.is_file() else ""
        if text.isdigit():
            bounds.append(int(text))
    return min(bounds) / 1e9
