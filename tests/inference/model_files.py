"""Model files for tests: one of the drawn data set, and what others might make of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medt_pipeline.core.sealed_zip import member_sizes, read_member, write_sealed
from medt_pipeline.inference.export import ExportOptions, export_model
from medt_pipeline.inference.models import find_ensemble
from tests.conftest import DATASET_ID, Drawn


def exported(drawn: Drawn, target: Path, options: ExportOptions | None = None) -> Path:
    """The model of all trained folds, or of the recipe if there is one, as a file."""
    workspace = drawn.workspace
    export_model(find_ensemble(workspace, DATASET_ID, None), workspace, target, options or ExportOptions())
    return target


def members_of(file: Path) -> dict[str, bytes]:
    return {name: read_member(file, name) for name in member_sizes(file)}


def remade(file: Path, target: Path, changes: Mapping[str, Callable[[Any], Any] | bytes]) -> Path:
    """A copy with other members, sealed as one who changes a file on purpose can.

    Args:
        changes: new bytes, or a function from the parsed JSON to the new one, by member.
    """
    members = members_of(file)
    manifest = json.loads(members.pop("manifest.json"))
    for name, change in changes.items():
        if name != "manifest.json":
            members[name] = change if isinstance(change, bytes) else _changed(members[name], change)
    manifest["files"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
    }
    change = changes.get("manifest.json", lambda content: content)
    members["manifest.json"] = change if isinstance(change, bytes) else json.dumps(change(manifest)).encode()
    write_sealed(target, members.items())
    return target


def _changed(content: bytes, change: Callable[[Any], Any]) -> bytes:
    return json.dumps(change(json.loads(content))).encode()
