"""Masks that are united from several pictures, and object numbers of every kind of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.masks import MaskFile, MaskReading, UnitedMasks
from medt_pipeline.dataset_conversion.problems import count

from .drawn import save, square

SIZE = (12, 15)


def region(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[rows, columns] = True
    return mask


def write(path: Path, mask: np.ndarray, form: str) -> Path:
    """Black and white in a form that released masks have."""
    gray = Image.fromarray(mask.astype(np.uint8) * 255)
    image = {
        "L": lambda: gray,
        "1": lambda: gray.convert("1"),
        "RGB": lambda: gray.convert("RGB"),
        "RGBA": lambda: gray.convert("RGBA"),
        "P": lambda: gray.convert("P"),
        "0 and 1": lambda: Image.fromarray(mask.astype(np.uint8)),
    }[form]()
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


FORMS = ("L", "1", "RGB", "RGBA", "P", "0 and 1")


@pytest.mark.parametrize("form", FORMS)
def test_every_mode_of_mask_is_united(tmp_path: Path, form: str) -> None:
    one, other = region(slice(1, 4), slice(2, 6)), region(slice(6, 11), slice(3, 12))
    files = (write(tmp_path / "a_mask.png", one, form), write(tmp_path / "a_mask_1.png", other, "L"))
    read = UnitedMasks(files, value=2).read(SIZE)
    np.testing.assert_array_equal(read.values, 2 * (one | other))
    np.testing.assert_array_equal(read.objects, one + 2 * other)
    assert read.repairs == ()


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), number=st.integers(1, 3))
def test_shared_pixels_go_to_the_smallest_object(
    tmp_path_factory: pytest.TempPathFactory, seed: int, number: int
) -> None:
    root = tmp_path_factory.mktemp("masks")
    masks = np.random.default_rng(seed).random((number, *SIZE)) < np.linspace(0.2, 0.8, number)[:, None, None]
    files = tuple(write(root / f"{place}.png", mask, "L") for place, mask in enumerate(masks))
    read = UnitedMasks(files).read(SIZE)
    np.testing.assert_array_equal(read.values, masks.any(0))
    sizes = [int(mask.sum()) for mask in masks]
    for row, column in np.argwhere(masks.any(0)):
        owners = [place for place in range(number) if masks[place, row, column]]
        assert sizes[read.objects[row, column] - 1] == min(sizes[place] for place in owners)
    shared = int((masks.sum(0) > 1).sum())
    assert read.repairs == (
        (f"{count(shared, 'pixel')} in several of its masks given to the smallest object",) if shared else ()
    )


def test_an_image_without_object_must_have_an_empty_mask(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.png", np.zeros(SIZE, bool), "RGB")
    read = UnitedMasks((empty,), value=0).read(SIZE)
    assert not read.values.any()
    assert read.objects is not None
    assert not read.objects.any()
    full = write(tmp_path / "full.png", region(slice(1, 2), slice(1, 2)), "L")
    with pytest.raises(UserError, match=r"full\.png shows an object"):
        UnitedMasks((empty, full), value=0).read(SIZE)


def test_pictures_that_are_not_black_and_one_other_colour(tmp_path: Path) -> None:
    soft = square()
    soft[3, 4] = 100
    for pixels, sentence in ((soft, "holds 3 gray levels"), (np.where(square(), 255, 9).astype(np.uint8), "holds 2")):
        with pytest.raises(UserError, match=sentence):
            UnitedMasks((save(tmp_path / "a.png", pixels),)).read(SIZE)
    with pytest.raises(UserError, match=r"a\.png has 15×12 pixels, but its image 16×12"):
        UnitedMasks((save(tmp_path / "a.png", square()),)).read((12, 16))


def test_objects_of_a_mask_file(tmp_path: Path) -> None:
    numbers = square(3)
    numbers[9:11, 1:5] = 200
    file = save(tmp_path / "a.png", numbers)
    read = MaskFile(file, MaskReading(instances=True)).read(SIZE)
    np.testing.assert_array_equal(read.objects, numbers)
    np.testing.assert_array_equal(read.values, numbers > 0)
    assert MaskFile(file).read(SIZE).objects is None
    assert MaskFile(file).files == (file,)
