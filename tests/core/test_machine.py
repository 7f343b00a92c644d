from __future__ import annotations

from pathlib import Path

import psutil

from medt_pipeline.core.machine import memory_gb


def test_memory_is_the_machines_unless_a_container_has_less(tmp_path: Path) -> None:
    whole = psutil.virtual_memory().total / 1e9
    unlimited, limited, old = tmp_path / "max", tmp_path / "limited", tmp_path / "old"
    unlimited.write_text("max\n")
    limited.write_text("512000000\n")
    old.write_text("9223372036854771712\n")
    assert memory_gb((unlimited, old, tmp_path / "absent")) == whole
    assert memory_gb((unlimited, limited)) == 0.512
