"""What a run should leave behind so that it can be understood later."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medt_pipeline.core.remote import without_secrets

_PACKAGES = ("medt_pipeline", "nnunetv2", "torch", "numpy", "numba")
_PIECE = 2**20


def environment() -> dict[str, Any]:
    """Versions, platform and time; nothing that names the machine or its user."""
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": [sys.argv[0].rsplit("/", 1)[-1], *map(without_secrets, sys.argv[1:])],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages on which numbers depend."""
    return {name: _version(name) for name in _PACKAGES}


def content_hash(content: Any) -> str:
    """SHA-256 of JSON-like `content`, the same whatever the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
