"""Anybody's images: channels, duplicates, groups, names, and a folder that is complete or absent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from medt_pipeline.core.cases import Case, read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import writer
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.target import Target

from .drawn import draw_folder, files_of, load, picture, save, square


def target_in(root: Path, overwrite: bool = False) -> Target:
    return Target(Workspace.locate(root / "ws"), 110, "Mine", overwrite)


def test_dataset_json(tmp_path: Path) -> None:
    target = target_in(tmp_path)
    convert(*draw_folder(tmp_path), target)
    dataset = json.loads((target.folder / "dataset.json").read_text())
    assert dataset["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert dataset["labels"] == {"background": 0, "foreground": 1}
    assert dataset["numTraining"] == 3
    assert dataset["file_ending"] == ".png"
    assert dataset["overwrite_image_reader_writer"] == "NaturalImage2DIO"
    assert not (target.folder / "imagesTs").exists()
    assert read_cases(target.folder)["b"] == Case("b", "b.png", "b.png")


def test_the_pixel_size_of_the_source_is_kept(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b"))
    Image.fromarray(picture(0)).save(images / "a.png", dpi=(2540, 2540))
    target = target_in(tmp_path)
    convert(images, masks, target)
    cases = read_cases(target.folder)
    assert cases["a"].pixel_size_um == pytest.approx((10, 10), rel=1e-3)
    assert cases["b"].pixel_size_um is None


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path)
    save(images / "d.png", picture(0))
    save(masks / "d.png", square())
    written = []
    for run in ("one", "two"):
        target = target_in(tmp_path / run)
        convert(images, masks, target)
        written.append(files_of(target.folder))
    assert written[0] == written[1]
    assert str(tmp_path).encode() not in b"".join(written[0].values())


def test_gray_rgb_files_become_gray(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b"))
    gray = picture(5, channels=1)
    save(images / "a.png", gray)
    save(images / "b.png", np.repeat(picture(6, channels=1)[..., None], 3, axis=2))
    target = target_in(tmp_path)
    summary = convert(images, masks, target)
    assert summary.channels == "gray"
    assert json.loads((target.folder / "dataset.json").read_text())["channel_names"] == {"0": "gray"}
    np.testing.assert_array_equal(load(target.folder / "imagesTr" / "a_0000.png"), gray)
    assert load(target.folder / "imagesTr" / "b_0000.png").ndim == 2


def test_one_coloured_image_makes_all_rgb(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b"))
    gray = picture(5, channels=1)
    save(images / "a.png", gray)
    target = target_in(tmp_path)
    assert convert(images, masks, target).channels == "RGB"
    np.testing.assert_array_equal(load(target.folder / "imagesTr" / "a_0000.png"), np.stack([gray] * 3, axis=2))


def test_gray_of_16_bits_is_kept(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a",))
    (images / "a.png").unlink()
    deep = np.random.default_rng(0).integers(0, 65536, (12, 15), dtype=np.uint16)
    tifffile.imwrite(images / "a.tif", deep)
    target = target_in(tmp_path)
    convert(images, masks, target)
    np.testing.assert_array_equal(load(target.folder / "imagesTr" / "a_0000.png"), deep)


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.full((12, 15, 3), 300, np.uint16) + np.arange(3, dtype=np.uint16), "colours of more than 8 bits"),
        (np.full((12, 15), 0.5, np.float32), "float32 pixels"),
        (np.full((12, 15), -3, np.int16), "int16 pixels"),
        (np.full((12, 15), 300, np.uint16), "1 image coloured and 1 gray with 16 bits"),
    ],
    ids=["16-bit RGB", "float", "negative", "16-bit gray among colours"],
)
def test_pixels_that_cannot_be_kept(tmp_path: Path, pixels: np.ndarray, sentence: str) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b"))
    (images / "a.png").unlink()
    tifffile.imwrite(images / "a.tif", pixels)
    with pytest.raises(UserError, match=sentence):
        convert(images, masks, target_in(tmp_path))


def test_duplicates_share_a_group_whatever_their_form(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b", "c", "d"))
    gray = picture(9, channels=1)
    save(images / "b.png", gray)
    save(images / "d.png", np.repeat(gray[..., None], 3, axis=2))
    save(masks / "d.png", square()[::-1])
    target = target_in(tmp_path)
    summary = convert(images, masks, target)
    assert summary.duplicates == ("b = d; their masks differ",)
    assert summary.groups == 3
    assert {name: case.group for name, case in read_cases(target.folder).items()} == {
        "a": "a",
        "b": "b",
        "c": "c",
        "d": "b",
    }


def test_declared_groups_stay_and_are_questioned(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("P1_a", "P1_b", "P2_a"))
    save(images / "P2_a.png", load(images / "P1_a.png"))
    target = target_in(tmp_path)
    summary = convert(images, masks, target, FolderOptions(groups=r"^(P\d)"))
    assert summary.groups == 2
    assert "P1_a = P2_a" in summary.duplicates[0]
    assert "different groups" in summary.duplicates[0]
    assert read_cases(target.folder)["P2_a"].group == "P2"


def test_names_are_mended_and_told(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a b", "c_0000"))
    target = target_in(tmp_path)
    summary = convert(images, masks, target)
    assert read_cases(target.folder)["a_b"].image == "a b.png"
    assert (target.folder / "labelsTr" / "c.png").exists()
    assert "a b → a_b, c_0000 → c" in summary.notes[0]


def test_palettes_that_disagree_are_no_labels(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b"))
    for name, colours in (("a", [0, 0, 0, 255, 255, 255]), ("b", [255, 255, 255, 0, 0, 0])):
        mask = Image.fromarray(square(1), mode="P")
        mask.putpalette(colours)
        mask.save(masks / f"{name}.png")
    with pytest.raises(UserError, match=r"palettes differ: index 0 is #000000 in .*a.png, but #FFFFFF in .*b.png"):
        convert(images, masks, target_in(tmp_path))


def test_palette_among_colours_is_refused(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b"))
    coloured = np.zeros((12, 15, 3), dtype=np.uint8)
    coloured[3:8, 3:8, 0] = 255
    save(masks / "a.png", coloured)
    mask = Image.fromarray(square(1), mode="P")
    mask.putpalette([0, 0, 0, 255, 0, 0])
    mask.save(masks / "b.png")
    with pytest.raises(UserError, match=r"b.png holds a palette .* save all as RGB"):
        convert(images, masks, target_in(tmp_path))


def test_an_empty_black_mask_fits_coloured_ones(tmp_path: Path) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b"))
    coloured = np.zeros((12, 15, 3), dtype=np.uint8)
    coloured[3:8, 3:8, 0] = 255
    save(masks / "a.png", coloured)
    save(masks / "b.png", square(0))
    target = target_in(tmp_path)
    summary = convert(images, masks, target)
    assert summary.empty_masks == 1
    np.testing.assert_array_equal(load(target.folder / "labelsTr" / "a.png"), coloured[..., 0] > 0)
    assert not load(target.folder / "labelsTr" / "b.png").any()


def test_nothing_is_left_of_a_conversion_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, masks = draw_folder(tmp_path)
    target = target_in(tmp_path, overwrite=True)
    convert(images, masks, target)
    before = files_of(tmp_path / "ws")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write_json", full_disk)
    save(images / "a.png", picture(77))
    with pytest.raises(OSError, match="No space"):
        convert(images, masks, target)
    assert files_of(tmp_path / "ws") == before
    monkeypatch.undo()
    summary = convert(images, masks, target)
    assert any("older data set was replaced" in note for note in summary.notes)
    np.testing.assert_array_equal(load(target.folder / "imagesTr" / "a_0000.png"), picture(77))
    assert [path.name for path in target.workspace.raw.iterdir()] == ["Dataset110_Mine"]


def test_the_old_data_set_comes_back_where_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    target = target_in(tmp_path, overwrite=True)
    convert(*draw_folder(tmp_path), target)
    before = files_of(tmp_path / "ws")
    with pytest.raises(FileNotFoundError), target.building() as part:
        part.rmdir()
    assert files_of(tmp_path / "ws") == before


def test_a_source_inside_the_old_data_set_is_not_deleted(tmp_path: Path) -> None:
    target = target_in(tmp_path, overwrite=True)
    convert(*draw_folder(tmp_path), target)
    with pytest.raises(UserError, match="--overwrite would delete"):
        convert(target.folder / "imagesTr", target.folder / "labelsTr", target)


@pytest.mark.slow
def test_stock_nnunet_accepts_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, masks = draw_folder(tmp_path, ("a", "b c", "IMG_0001"))
    target = target_in(tmp_path)
    convert(images, masks, target)
    monkeypatch.setenv("nnUNet_raw", str(target.workspace.raw))
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    verify_dataset_integrity(str(target.folder), num_processes=1)
    found = get_filenames_of_train_images_and_targets(str(target.folder))
    assert sorted(found) == ["IMG_0001", "a", "b_c"]
    assert all(len(case["images"]) == 1 for case in found.values())
