"""Finished blocks are kept for the same work, and for no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.slides import open_slide
from medt_pipeline.slides.work import open_work, work_key
from tests.slides.drawn_slides import DrawnSlide
from tests.slides.stand_in import ColourThreshold, stand_in


def key_of(file: Path, settings: dict | None = None, **model: object) -> str:
    return work_key(open_slide(file), stand_in(**model).members, settings or {"scale": 1.0})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return DrawnSlide((64, 64), 30).write(tmp_path / "a.tif", levels=1)


def test_the_key_follows_all_that_decides_the_result(file: Path) -> None:
    key = key_of(file)
    assert key == key_of(file)
    others = {
        key_of(file, {"scale": 2.0}),
        key_of(file, network=ColourThreshold(21.0)),
        key_of(file, patch=(32, 64)),
        key_of(file, spacing=2.0),
        key_of(file, mirror_axes=(0,)),
    }
    assert len({key, *others}) == 6
    file.write_bytes(file.read_bytes() + b" ")
    assert key_of(file) not in {key, *others}


def test_blocks_of_the_same_work_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / ".a.work"
    work = open_work(folder, "one", (3000, 100), 512)
    assert [store.size for store in work.finals] == [(3000, 100), (1500, 50), (750, 25)]
    assert [store.side for store in work.finals] == [2048, 1024, 512]
    work.labels.write((0, 0), np.ones((512, 100), np.uint8))
    again = open_work(folder, "one", (3000, 100), 512)
    assert again.labels.file((0, 0)).exists()
    other = open_work(folder, "two", (3000, 100), 512)
    assert not other.labels.file((0, 0)).exists()
    other.remove()
    assert not folder.exists()
