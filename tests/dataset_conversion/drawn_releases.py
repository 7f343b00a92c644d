"""Converting a drawn copy of a released layout through the registry, as the command does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from medt_pipeline.core.cases import Case, read_cases
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import registry
from medt_pipeline.dataset_conversion.summary import Summary
from medt_pipeline.dataset_conversion.target import Target

from .drawn import load


class Converted:
    """A raw data set that was just written."""

    def __init__(self, folder: Path, summary: Summary) -> None:
        self.folder, self.summary = folder, summary

    @property
    def cases(self) -> dict[str, Case]:
        return read_cases(self.folder)

    @property
    def groups(self) -> dict[str, str]:
        return {name: case.group for name, case in self.cases.items()}

    @property
    def labels(self) -> dict[str, int]:
        return json.loads((self.folder / "dataset.json").read_text())["labels"]

    def image(self, name: str, part: str = "Tr") -> np.ndarray:
        return load(self.folder / f"images{part}" / f"{name}_0000.png")

    def label(self, name: str, part: str = "Tr") -> np.ndarray:
        return load(self.folder / f"labels{part}" / f"{name}.png")

    def objects(self, name: str, part: str = "Tr") -> np.ndarray:
        return load(self.folder / f"instances{part}" / f"{name}.png")

    def names(self, part: str) -> set[str]:
        return {path.stem for path in (self.folder / part).glob("*")}


def convert(key: str, source: Path, root: Path, **options: Any) -> Converted:
    """Convert `source` into a workspace below `root`."""
    line = registry.source(key)
    target = Target(Workspace.locate(root / "workspace"), 101, line.default_name or "Mine")
    summary = registry.convert(line, target, {"src": source, **options})
    return Converted(target.folder, summary)
