"""What two runs of a command must have in common: all files but for times, and no file that is not finished."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

TIMES = ("time", "seconds", "seconds_per_image", "environment", "command", "images", "throughput", "hours")
"""Keys of JSON files that tell when, how fast, and in which folder; `images` is a path in medt_prediction.json."""
DIARIES = ("training_log_", "console.txt", "progress.png", "debug.json", "medt_train.log", "events.out")
"""Beginnings of the names of files that tell the story of the run, which an interruption is part of."""


def snapshot(root: Path, folders: Sequence[str]) -> dict[str, str]:
    """By relative path a digest of what counts of each file below `folders` of `root`."""
    return {
        str(file.relative_to(root)): _digest(file, str(root))
        for folder in folders
        for file in sorted((root / folder).rglob("*"))
        if file.is_file() and not file.name.startswith(DIARIES) and not file.name.endswith(".lock")
    }


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Files that are missing, too many or other than expected."""
    return [
        f"{'missing' if name not in found else 'too many' if name not in expected else 'other'}: {name}"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]


def _digest(file: Path, root: str) -> str:
    content = file.read_bytes()
    if file.suffix == ".pth":
        content = _of_checkpoint(file)
    elif file.suffix == ".json":
        content = json.dumps(_without_times(json.loads(content)), sort_keys=True).replace(root, "").encode()
    elif file.name == "progress.csv":
        rows = csv.DictReader(io.StringIO(content.decode()))
        content = json.dumps([{**row, "seconds": ""} for row in rows]).encode()
    return hashlib.sha256(content).hexdigest()


def _of_checkpoint(file: Path) -> bytes:
    """Weights, moments of the optimizer, epoch and losses."""
    checkpoint = torch.load(file, weights_only=True, map_location="cpu")
    logging = {key: value for key, value in checkpoint["logging"].items() if not key.endswith("timestamps")}
    buffer = io.BytesIO()
    for name, value in sorted(checkpoint["network_weights"].items()):
        buffer.write(name.encode() + value.numpy().tobytes())
    for state in checkpoint["optimizer_state"]["state"].values():
        buffer.write(b"".join(one.numpy().tobytes() for one in state.values()))
    buffer.write(json.dumps([checkpoint["current_epoch"], logging]).encode())
    return buffer.getvalue()


def _without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {
            key: _without_times(value)
            for key, value in content.items()
            if key not in TIMES or (key == "images" and not isinstance(value, str))
        }
    return [_without_times(one) for one in content] if isinstance(content, list) else content
