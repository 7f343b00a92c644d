"""Overlays of folders."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.overlays import draw_overlay
from medt_pipeline.report.overlays import write_overlays

GRAY = np.random.default_rng(0).integers(60, 90, (300, 330), np.uint8)
DISC = (np.hypot(*(np.indices(GRAY.shape) - np.array([140, 160])[:, None, None])) < 70).astype(np.uint8)


@pytest.fixture
def folders(tmp_path):
    for folder, names in {"images": ("a_0000", "b"), "masks": ("a", "b"), "reference": ("a",)}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(GRAY if folder == "images" else DISC).save(tmp_path / folder / f"{name}.png")
    return tmp_path / "images", tmp_path / "masks", tmp_path / "out", tmp_path / "reference"


def test_overlays_of_folders(folders):
    written = write_overlays(*folders, names={1: "gland"})
    assert written == [folders[2] / "a.png", folders[2] / "b.png"]
    names = {1: "gland"}
    for file, reference in zip(written, (DISC, None), strict=True):
        assert np.array_equal(np.array(Image.open(file)), draw_overlay(GRAY, DISC, reference, names))


def test_mask_without_image_or_of_another_size_is_refused(folders):
    images, masks, target, reference = folders
    Image.fromarray(DISC[:10]).save(reference / "a.png")
    with pytest.raises(UserError, match=r"reference/a\.png has 10 × 330 pixels but .*a_0000\.png has 300 × 330"):
        write_overlays(images, masks, target, reference)
    (images / "b.png").unlink()
    with pytest.raises(UserError, match=r"b\.png has no image"):
        write_overlays(images, masks, target)
