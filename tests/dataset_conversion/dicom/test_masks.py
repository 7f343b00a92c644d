"""Masks found by their names, in the forms that annotation programs write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

from medt_pipeline.core.dicom.frames import Clip
from medt_pipeline.core.dicom.geometry import Region
from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.dicom.files import FoundClip
from medt_pipeline.dataset_conversion.dicom.masks import ClipMask, NoMark, StackPage, is_mask_file, match_masks
from medt_pipeline.dataset_conversion.masks import MaskFile, MaskReading
from medt_pipeline.dataset_conversion.problems import Problems
from tests.dataset_conversion.drawn import save
from tests.drawn_dicom import draw_clip

SIZE = (12, 15)


def clip(relative: str, frames: int = 1, instance: str | None = None) -> FoundClip:
    facts = Clip(Path("src") / relative, frames, *SIZE, None, None)
    return FoundClip(
        facts, Path(relative), instance or f"uid of {relative}", ("patient", "", "1"), "study", frozenset(), False
    )


def stack(frames: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (frames, *SIZE), dtype=np.uint8)


def matched(root: Path, clips: Sequence[FoundClip], *names: str) -> dict[str, list[tuple[str, int]]]:
    """Draw a mask of each name and tell which places each got."""
    for name in names:
        save(root / name, stack(1)[0])
    problems = Problems()
    paths = [root / name for name in names]
    placed, alone = match_masks(paths, root, clips, MaskReading(), problems)
    problems.raise_if_any()
    found: dict[str, list[tuple[str, int]]] = {path.relative_to(root).as_posix(): [] for path in alone}
    for place, source in placed.items():
        found.setdefault(source.files[0].relative_to(root).as_posix(), []).append(place)
    return found


@pytest.mark.parametrize("name", ["a.png", "a_mask.png", "mask_a.png", "1.2.3.png", "a_mask_1.png", "a_1.png"])
def test_single_images(tmp_path: Path, name: str) -> None:
    assert matched(tmp_path, [clip("a.dcm", instance="1.2.3"), clip("b.dcm")], name) == {name: [("1.2.3", 0)]}


@pytest.mark.parametrize("name", ["IM_7_0003.png", "IM_7_f0003.png", "IM_7_mask_3.png", "IM_7-frame-3.png"])
def test_numbered_frames(tmp_path: Path, name: str) -> None:
    assert matched(tmp_path, [clip("IM_7", 3), clip("IM_8", 3)], name) == {name: [("uid of IM_7", 2)]}


def test_a_name_that_ends_in_a_number_is_not_cut(tmp_path: Path) -> None:
    assert matched(tmp_path, [clip("IM_0001"), clip("IM_0002")], "IM_0002.png") == {
        "IM_0002.png": [("uid of IM_0002", 0)]
    }


def test_folders_part_equal_names(tmp_path: Path) -> None:
    clips = [clip("P1/IM1"), clip("P2/IM1")]
    found = matched(tmp_path, clips, "P1/IM1.png", "P2/IM1_mask.png")
    assert found == {"P1/IM1.png": [("uid of P1/IM1", 0)], "P2/IM1_mask.png": [("uid of P2/IM1", 0)]}
    with pytest.raises(
        UserError, match="IM1.png fits several clips: src/P1/IM1 and src/P2/IM1; put masks into folders"
    ):
        matched(tmp_path, clips, "IM1.png")


def test_strangers_stay_alone(tmp_path: Path) -> None:
    assert matched(tmp_path, [clip("a")], "b.png") == {"b.png": []}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["c.png"], "c.png does not tell which of the 3 frames of src/c it marks"),
        (["c_0000.png"], "marks frame 0, but src/c has the frames 1 to 3"),
        (["c_4.png"], "marks frame 4, but src/c has the frames 1 to 3"),
        (["a.png", "a_mask.png"], "a_mask.png and .*a.png are masks of one frame"),
        (["a_2.png"], "marks frame 2, but src/a has the frames 1 to 1"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, names: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        matched(tmp_path, [clip("a"), clip("c", 3)], *names)


def write_tiff(path: Path, masks: np.ndarray) -> None:
    tifffile.imwrite(path, masks, photometric="minisblack")


def write_nifti(path: Path, masks: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(masks.transpose(2, 1, 0), np.eye(4)), path)


def write_real_nifti(path: Path, masks: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(masks.transpose(2, 1, 0)[..., None].astype(np.float32), np.eye(4)), path)


def write_dicom(path: Path, masks: np.ndarray) -> None:
    draw_clip(path, masks)


STACKS = {
    "c.tif": write_tiff,
    "c_mask.nii.gz": write_nifti,
    "c.nii": write_real_nifti,
    "c_seg.dcm": write_dicom,
}


@pytest.mark.parametrize("threshold", [None, 1])
@pytest.mark.parametrize("name", STACKS)
def test_stacks(tmp_path: Path, name: str, threshold: int | None) -> None:
    drawn = stack()
    STACKS[name](tmp_path / name, drawn)
    problems = Problems()
    placed, alone = match_masks([tmp_path / name], tmp_path, [clip("c", 3)], MaskReading(threshold), problems)
    problems.raise_if_any()
    assert not alone
    for index in range(3):
        read = placed["uid of c", index].read(SIZE).values
        np.testing.assert_array_equal(read, drawn[index] if threshold is None else drawn[index] > threshold)
        assert np.issubdtype(read.dtype, np.integer)


def test_a_stack_of_one(tmp_path: Path) -> None:
    for name, shape in (("a.nii", SIZE[::-1]), ("a.nii.gz", (*SIZE[::-1], 1))):
        drawn = stack(1)[0]
        nibabel.save(nibabel.Nifti1Image(drawn.T.reshape(shape), np.eye(4)), tmp_path / name)
        placed, _ = match_masks([tmp_path / name], tmp_path, [clip("a")], MaskReading(), Problems())
        np.testing.assert_array_equal(placed["uid of a", 0].read(SIZE).values, drawn)


@pytest.mark.parametrize("name", STACKS)
def test_stacks_of_another_length(tmp_path: Path, name: str) -> None:
    STACKS[name](tmp_path / name, stack(4))
    with pytest.raises(UserError, match="holds 4 pages, but src/c has 3 frames"):
        problems = Problems()
        match_masks([tmp_path / name], tmp_path, [clip("c", 3)], MaskReading(), problems)
        problems.raise_if_any()


@pytest.mark.parametrize("name", ["c.tif", "c.nii.gz", "c.nii"])
def test_broken_stacks(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"II*\0 broken")
    problems = Problems()
    match_masks([tmp_path / name], tmp_path, [clip("c", 3)], MaskReading(), problems)
    with pytest.raises(UserError, match="cannot be read as masks"):
        problems.raise_if_any()
    with pytest.raises(UserError, match="cannot be read as masks"):
        StackPage(tmp_path / name, 0, MaskReading()).read(SIZE)


def test_stacks_that_are_no_labels(tmp_path: Path) -> None:
    write_nifti(tmp_path / "half.nii", stack() * np.float32(0.3))
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((3, *SIZE, 3), np.uint8), photometric="rgb")
    for name in ("half.nii", "rgb.tif"):
        with pytest.raises(UserError, match="save labels as gray"):
            StackPage(tmp_path / name, 1, MaskReading()).read(SIZE)


def test_a_stack_of_single_bits(tmp_path: Path) -> None:
    drawn = stack() > 1
    tifffile.imwrite(tmp_path / "a.tif", drawn, photometric="minisblack")
    np.testing.assert_array_equal(StackPage(tmp_path / "a.tif", 1, MaskReading()).read(SIZE).values, drawn[1] * 255)


def test_mask_of_a_region(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[3:6, 4:8] = 255
    save(tmp_path / "a.png", mask)
    inner = MaskFile(tmp_path / "a.png")
    cut = ClipMask(inner, Path("name.mask"), SIZE, Region(2, 3, 8, 10))
    np.testing.assert_array_equal(cut.read((6, 7)).values, mask[2:8, 3:10])
    assert cut.files == (Path("name.mask"),)
    np.testing.assert_array_equal(ClipMask(inner, Path("n"), SIZE, None).read(SIZE).values, mask)
    with pytest.raises(UserError, match="name.mask marks 4 pixels outside of the region"):
        ClipMask(inner, Path("name.mask"), SIZE, Region(4, 3, 8, 10)).read((4, 7))
    with pytest.raises(UserError, match="has 15×12 pixels, but its clip has 9×9"):
        ClipMask(inner, Path("name.mask"), (9, 9), Region(0, 0, 5, 5)).read((5, 5))


def test_nothing_marked() -> None:
    assert not NoMark(Path("a")).read(SIZE).values.any()
    assert NoMark(Path("a")).files == (Path("a"),)


def test_which_files_may_be_masks() -> None:
    may = {"a.png": True, "a.NII.GZ": True, "a.tiff": True, "a.jpg": False, "a.txt": False, "a": False}
    assert {name: is_mask_file(Path(name)) for name in may} == may
