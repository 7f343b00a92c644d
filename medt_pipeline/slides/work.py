"""The work folder of a slide: finished blocks, kept until the slide is done, and for which work they are."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medt_pipeline.core.files import make_folder, read_json, write_json
from medt_pipeline.core.manifest import content_hash
from medt_pipeline.core.slides import Slide
from medt_pipeline.inference.models import OpenModel
from medt_pipeline.inference.networks_hash import networks_hash
from medt_pipeline.slides.label_image import level_count, level_size
from medt_pipeline.slides.objects import BLOCK_SIDE
from medt_pipeline.slides.store import BlockStore

MANIFEST = "manifest.json"
_ENDS = 2**20
"""Bytes at the beginning and end of a slide by which it is known again, beside its length: all of it takes minutes."""


@dataclass(frozen=True, eq=False)
class Work:
    """Blocks of a slide that are done.

    Attributes:
        folder: beside the output.
        labels: predicted labels.
        finals: labels after post-processing, by level of the pyramid.
    """

    folder: Path
    labels: BlockStore
    finals: tuple[BlockStore, ...]

    @property
    def objects(self) -> BlockStore:
        """The blocks in which objects are found."""
        return self.finals[0]

    def pieces(self, place: tuple[int, int]) -> Path:
        """The file with a block's pieces of objects; it is written last."""
        return self.folder / "pieces" / f"{place[0]}_{place[1]}.npz"

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder)


def open_work(folder: Path, key: str, size: tuple[int, int], side: int) -> Work:
    """The work folder for the work that `key` names; what is left there of other work goes.

    Args:
        size: (height, width) of the label map.
        side: of the blocks in which is predicted.
    """
    manifest = folder / MANIFEST
    if folder.exists() and not (manifest.exists() and read_json(manifest).get("key") == key):
        shutil.rmtree(folder)
    make_folder(folder / "pieces")
    write_json(manifest, {"key": key})
    finals = [
        BlockStore(folder / f"final_{level}", level_size(size, level), BLOCK_SIDE >> level)
        for level in range(level_count(size, BLOCK_SIDE))
    ]
    return Work(folder, BlockStore(folder / "labels", size, side), tuple(finals))


def work_key(slide: Slide, members: Sequence[OpenModel], settings: dict[str, Any]) -> str:
    """Hash of all that decides the result: slide, networks with their weights and plans, settings."""
    return content_hash({"slide": _slide_key(slide.path), "networks": networks_hash(members), **settings})


def _slide_key(path: Path) -> list[Any]:
    length = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(_ENDS)
        file.seek(max(0, length - _ENDS))
        end = file.read(_ENDS)
    return [length, hashlib.sha256(begin).hexdigest(), hashlib.sha256(end).hexdigest()]
