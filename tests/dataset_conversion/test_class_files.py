"""One mask picture a class: which belongs to what, and how they are laid over each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion import class_files
from medt_pipeline.dataset_conversion.class_files import (
    ClassFilesMask,
    looks_like_class_files,
    match_class_files,
    match_class_folders,
)
from medt_pipeline.dataset_conversion.masks import MaskReading
from tests.dataset_conversion.drawn import save

SIZE = (12, 15)
LABELS = {"gland": 1, "lumen": 2}


def paths(*names: str) -> list[Path]:
    return [Path(f"{name}.png") for name in names]


def box(top: int, bottom: int, left: int, right: int, value: int = 255) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[top:bottom, left:right] = value
    return mask


def test_the_longest_name_of_an_image_counts() -> None:
    a, b = paths("a", "a_b")
    masks = paths("a_b_gland", "a_gland", "a-lumen", "a_b.outer rim", "c_gland")
    matching = match_class_files([a, b], masks)
    assert matching.files_of == {
        a: {"gland": masks[1], "lumen": masks[2]},
        b: {"gland": masks[0], "outer rim": masks[3]},
    }
    assert matching.masks_alone == (masks[4],)
    assert matching.counts() == {"gland": 2, "lumen": 1, "outer rim": 1}


def test_two_files_of_one_class() -> None:
    matching = match_class_files(paths("a"), paths("a_gland", "a-gland"))
    assert matching.ambiguous == ("the image a.png has two masks of gland: a_gland.png, a-gland.png",)


@pytest.mark.parametrize(
    ("masks", "likely"),
    [
        (("a_gland", "a_lumen", "b_gland"), True),
        (("a_gland", "b_gland"), True),
        (("a_gland", "b_lumen"), False),
        (("a_gland", "a_lumen", "b"), False),
        (("a_gland", "a_lumen", "b_mask"), False),
        (("a_gland", "a_lumen", "c_gland"), False),
        (("a_1", "a_2"), False),
        (("a_mask", "a_mask_1"), False),
    ],
)
def test_what_looks_like_class_files(masks: tuple[str, ...], likely: bool) -> None:
    assert looks_like_class_files(paths("a", "b"), paths(*masks)) == likely


def test_folders(tmp_path: Path) -> None:
    for name in ("gland/a", "gland/b_mask", "lumen/a", "lumen/c"):
        save(tmp_path / f"{name}.png", box(1, 5, 1, 5))
    images = paths("a", "b", "d")
    matching = match_class_folders(images, [tmp_path / "gland", tmp_path / "lumen"])
    assert [sorted(files) for files in matching.files_of.values()] == [["gland", "lumen"], ["gland"]]
    assert matching.images_alone == (images[2],)
    assert matching.masks_alone == (tmp_path / "lumen/c.png",)


def test_classes_are_laid_together(tmp_path: Path) -> None:
    gland = save(tmp_path / "gland.png", box(1, 5, 1, 8))
    lumen = save(tmp_path / "lumen.png", np.repeat(box(5, 9, 1, 8)[..., None], 3, axis=2))
    mask = ClassFilesMask({"gland": gland, "lumen": lumen}, LABELS)
    assert mask.files == (gland, lumen)
    read = mask.read(SIZE)
    np.testing.assert_array_equal(read.values, box(1, 5, 1, 8, 1) + box(5, 9, 1, 8, 2))
    assert (read.objects, read.repairs) == (None, ())


def test_overlaps_need_an_order(tmp_path: Path) -> None:
    files = {"gland": save(tmp_path / "g.png", box(1, 9, 1, 9)), "lumen": save(tmp_path / "l.png", box(3, 5, 3, 12))}
    with pytest.raises(UserError, match=r"l.png .* share 12 pixels; .* --labels gland,lumen, the last one on top"):
        ClassFilesMask(files, LABELS).read(SIZE)
    read = ClassFilesMask(files, LABELS, ordered=True).read(SIZE)
    expected = box(1, 9, 1, 9, 1)
    expected[3:5, 3:12] = 2
    np.testing.assert_array_equal(read.values, expected)
    assert read.repairs == ("12 pixels of several classes given to the one on top",)


def test_objects_are_numbered_through(tmp_path: Path) -> None:
    glands = save(tmp_path / "g.png", box(0, 3, 0, 3, 4) + box(5, 8, 0, 3, 9))
    lumina = save(tmp_path / "l.png", box(0, 3, 6, 9, 1) + box(5, 8, 1, 9, 3))
    reading = MaskReading(instances=True)
    read = ClassFilesMask({"gland": glands, "lumen": lumina}, LABELS, True, reading).read(SIZE)
    expected = box(0, 3, 0, 3, 1) + box(5, 8, 0, 1, 2) + box(0, 3, 6, 9, 3) + box(5, 8, 1, 9, 4)
    np.testing.assert_array_equal(read.objects, expected)
    np.testing.assert_array_equal(read.values, np.array([0, 1, 1, 2, 2])[expected])


def test_objects_of_a_picture_without_background(tmp_path: Path) -> None:
    file = save(tmp_path / "g.png", np.where(np.arange(15) < 8, 3, 7).astype(np.uint8)[None].repeat(12, axis=0))
    read = ClassFilesMask({"gland": file}, LABELS, reading=MaskReading(instances=True)).read(SIZE)
    np.testing.assert_array_equal(np.unique(read.objects), [1, 2])


def test_soft_edges_by_threshold(tmp_path: Path) -> None:
    soft = box(2, 6, 2, 6)
    soft[6, 2:6] = 100
    file = save(tmp_path / "g.png", soft)
    with pytest.raises(UserError, match=r"g.png holds the values 0, 100, 255, .*--threshold 127"):
        ClassFilesMask({"gland": file}, LABELS).read(SIZE)
    read = ClassFilesMask({"gland": file}, LABELS, reading=MaskReading(threshold=127)).read(SIZE)
    np.testing.assert_array_equal(read.values, box(2, 6, 2, 6, 1))


@pytest.mark.parametrize(("value", "covered"), [(0, 0), (255, 1)], ids=["empty", "full"])
def test_one_value_alone(tmp_path: Path, value: int, covered: int) -> None:
    file = save(tmp_path / "g.png", np.full(SIZE, value, dtype=np.uint8))
    assert (ClassFilesMask({"gland": file}, LABELS).read(SIZE).values == covered).all()


def test_sizes_and_numbers_of_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(tmp_path / "g.png", box(1, 3, 1, 3))
    with pytest.raises(UserError, match="g.png has 15×12 pixels, but the image has 15×13"):
        ClassFilesMask({"gland": file}, LABELS).read((13, 15))
    monkeypatch.setattr(class_files, "MOST_OBJECTS", 0)
    with pytest.raises(UserError, match="more than 0 objects"):
        ClassFilesMask({"gland": file}, LABELS, reading=MaskReading(instances=True)).read(SIZE)


def test_no_file_of_a_class_that_counts(tmp_path: Path) -> None:
    file = save(tmp_path / "x.png", box(1, 3, 1, 3))
    mask = ClassFilesMask({"other": file}, LABELS)
    assert mask.files == (file,)
    assert not mask.read(SIZE).values.any()
