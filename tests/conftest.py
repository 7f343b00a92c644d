"""What all tests share: the real data sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """`real_data("glas")` gives the folder of a real data set, and skips the test where it is absent."""
    root = Path(os.environ.get("MEDT_TEST_DATA") or _REPOSITORY.parent / "shared" / "data")

    def folder(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"the real data set {name} is not in {root}; set MEDT_TEST_DATA")
        return root / name

    return folder
