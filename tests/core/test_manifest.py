"""By what files are known again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medt_pipeline.core.manifest import file_hash


def test_hash_of_a_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert file_hash(tmp_path / "a") == hashlib.sha256(content).hexdigest()
