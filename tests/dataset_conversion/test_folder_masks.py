"""Formats and ways of pairing together, as `medt_convert folder` uses them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.summary import Summary
from medt_pipeline.dataset_conversion.target import Target
from tests.dataset_conversion.annotations.writers import Drawn, coco_polygons, write_coco, write_geojson, write_labelme
from tests.dataset_conversion.drawn import draw_folder, load, picture, save, square

SIZE = (12, 15)
SQUARE = [(4.0, 3.0), (10.0, 3.0), (10.0, 8.0), (4.0, 8.0)]
TUMOUR = Drawn("tumour", [[SQUARE]])
OTHER = Drawn("other", [[[(0.0, 9.0), (6.0, 9.0), (6.0, 12.0), (0.0, 12.0)]]])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed, name in enumerate("abc"):
        save(tmp_path / "images" / f"{name}.png", picture(seed))
    return tmp_path / "images"


def target_in(root: Path) -> Target:
    return Target(Workspace.locate(root / "ws"), 110, "Mine")


def run(root: Path, masks: str, **options: object) -> Summary:
    return convert(root / "images", root / masks, target_in(root), FolderOptions(**options))


def labels_of(root: Path, name: str = "a") -> np.ndarray:
    return load(target_in(root).folder / "labelsTr" / f"{name}.png")


def test_labelme_files_beside_their_images(images: Path, tmp_path: Path) -> None:
    for name in "abc":
        write_labelme(images / f"{name}.json", [TUMOUR, OTHER], SIZE)
    summary = run(tmp_path, "images")
    assert summary.mask_reading.startswith("LabelMe JSON files: a pixel belongs to a shape when its centre lies inside")
    assert [label.name for label in summary.labels] == ["background", "other", "tumour"]
    assert not any("left alone" in note for note in summary.notes)
    np.testing.assert_array_equal(labels_of(tmp_path), square(2) + np.pad(np.ones((3, 6)), ((9, 0), (0, 9))))
    assert read_cases(target_in(tmp_path).folder)["b"].mask == "b.json"


def test_named_labels_leave_others_out(images: Path, tmp_path: Path) -> None:
    for name in "abc":
        write_geojson(tmp_path / "masks" / f"{name}.geojson", [TUMOUR, OTHER])
    summary = run(tmp_path, "masks", labels="lesion=tumour")
    assert "not in --labels, so left out: 3 shapes of other" in summary.notes
    assert [label.name for label in summary.labels] == ["background", "lesion"]
    np.testing.assert_array_equal(labels_of(tmp_path), square(1))


def test_coco_pictures_are_found_whatever_their_folder(images: Path, tmp_path: Path) -> None:
    names = ("train/a.png", "C:\\data\\b.jpg", "c.png")
    write_coco(tmp_path / "all.json", {name: (SIZE, [coco_polygons(TUMOUR)]) for name in names}, ["tumour", "never"])
    summary = run(tmp_path, "all.json")
    assert [label.name for label in summary.labels] == ["background", "tumour"]
    for name in "abc":
        np.testing.assert_array_equal(labels_of(tmp_path, name), square(1))


def test_coco_that_does_not_fit_the_folder(images: Path, tmp_path: Path) -> None:
    entries = [coco_polygons(TUMOUR)]
    pictures = {
        "x/a.png": (SIZE, entries),
        "y/a.png": (SIZE, entries),
        "b.png": ((12, 16), entries),
        "d.png": (SIZE, []),
    }
    write_coco(tmp_path / "all.json", pictures, ["tumour"])
    with pytest.raises(UserError) as raised:
        run(tmp_path, "all.json")
    message = str(raised.value)
    assert "The image a.png has several masks: a.png, a.png" in message
    assert "1 image without a mask (c.png) and 1 mask without an image (d.png)" in message
    assert "all.json (b.png) was drawn on a picture of 16×12 pixels, but the image has 15×12" in message


def test_images_without_finding_and_unlisted_ones(images: Path, tmp_path: Path) -> None:
    crowd = {**coco_polygons(TUMOUR), "iscrowd": 1}
    write_coco(tmp_path / "all.json", {"a.png": (SIZE, [crowd]), "b.png": (SIZE, [])}, ["tumour"])
    summary = run(tmp_path, "all.json", skip_unpaired=True)
    assert summary.empty_masks == 1
    assert summary.repairs == ("all.json: a.png: 1 crowd region counted as one object each",)
    assert not labels_of(tmp_path, "b").any()
    assert any("c.png" in line for line in summary.left_out)


def test_all_files_with_mistakes_are_told(images: Path, tmp_path: Path) -> None:
    write_labelme(tmp_path / "masks" / "a.json", [TUMOUR], SIZE)
    write_labelme(tmp_path / "masks" / "b.json", [TUMOUR], (99, 99))
    (tmp_path / "masks" / "c.json").write_text("{")
    with pytest.raises(UserError) as raised:
        run(tmp_path, "masks")
    assert "b.json was drawn on a picture of 99×99" in str(raised.value)
    assert str(raised.value).count("c.json is not valid JSON") == 1
    assert not (tmp_path / "ws").exists()


def test_shapes_beside_the_picture(images: Path, tmp_path: Path) -> None:
    far = Drawn("tumour", [[[(x + 100, y) for x, y in SQUARE]]])
    for name in "abc":
        write_geojson(tmp_path / "masks" / f"{name}.geojson", [TUMOUR, far] if name == "a" else [TUMOUR, far, far])
    with pytest.raises(UserError, match=r"b.geojson: 2 of 3 shapes hold no pixel of the picture of 15×12") as raised:
        run(tmp_path, "masks")
    assert "a.geojson" not in str(raised.value)


def test_doubtful_classes(images: Path, tmp_path: Path) -> None:
    for name in "abc":
        write_geojson(tmp_path / "masks" / f"{name}.geojson", [TUMOUR, Drawn("", OTHER.parts)])
    with pytest.raises(
        UserError, match=r"Some shapes have a class and others none \(3 shapes of no class, 3 shapes of tum"
    ):
        run(tmp_path, "masks")


def test_class_files_and_absent_ones(images: Path, tmp_path: Path) -> None:
    lumen = square(0)
    lumen[9:12, 0:5] = 255
    for name in "abc":
        save(tmp_path / "masks" / f"{name}_gland.png", square())
    save(tmp_path / "masks" / "b_lumen.png", lumen)
    summary = run(tmp_path, "masks")
    assert summary.mask_reading.startswith("one mask picture a class (a_gland.png, a_lumen.png): as stored")
    assert "2 images without a mask of lumen: it holds none of that class" in summary.notes
    np.testing.assert_array_equal(labels_of(tmp_path, "b"), (square(1) + lumen // 255 * 2))
    case = read_cases(target_in(tmp_path).folder)["b"]
    assert (case.mask, case.more_masks) == ("b_gland.png", ("b_lumen.png",))


def test_class_folders_in_a_declared_order(images: Path, tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / "masks" / "wall" / f"{name}.png", np.full(SIZE, 255, np.uint8))
        save(tmp_path / "masks" / "lumen" / f"{name}.png", square())
    with pytest.raises(UserError, match=r"share 30 pixels; .* --labels lumen,wall"):
        run(tmp_path, "masks")
    summary = run(tmp_path, "masks", labels="wall,lumen")
    np.testing.assert_array_equal(labels_of(tmp_path), 1 + square(1))
    assert [label.name for label in summary.labels] == ["background", "wall", "lumen"]


def test_pairs_by_pattern_in_one_folder(tmp_path: Path) -> None:
    for seed in range(3):
        save(tmp_path / "images" / f"{seed}_img.png", picture(seed))
        save(tmp_path / "images" / f"{seed}_mask.png", square())
    summary = run(tmp_path, "images", pair=r"^(.*)_(?:img|mask)$")
    assert summary.training_cases == 3
    assert read_cases(target_in(tmp_path).folder)["0_img"].mask == "0_mask.png"


def test_pairs_by_table_with_groups(tmp_path: Path) -> None:
    draw_folder(tmp_path)
    table = tmp_path / "pairs.csv"
    table.write_text("image;mask;patient\na.png;c.png;P1\nb.png;b.png;P1\n")
    summary = run(tmp_path, "masks", pair=str(table))
    assert (summary.training_cases, summary.groups, summary.group_rule) == (2, 1, "listed in the table of pairs")
    assert read_cases(target_in(tmp_path).folder)["a"].mask == "c.png"


def test_pairs_by_table_of_annotations(images: Path, tmp_path: Path) -> None:
    write_geojson(tmp_path / "masks" / "one.geojson", [TUMOUR])
    (tmp_path / "pairs.csv").write_text("c.png,one.geojson\n")
    run(tmp_path, "masks", pair=str(tmp_path / "pairs.csv"))
    np.testing.assert_array_equal(labels_of(tmp_path, "c"), square(1))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ("a.png,a.png,P1\nb.png,b.png\n", {}, "no group for b.png; give all a group or none"),
        ("a.png,a.png,P1\n", {"groups": "."}, "Groups are given by --groups and in the table"),
        ("a.png,a.png\nb.png,b.json\n", {}, "holds mask pictures .* and LabelMe JSON files"),
        ("a.png,a.png\nb.png,b.json\n", {"mask_format": "labelme"}, "lists LabelMe JSON files and other files: a.png"),
        ("a.png,all.json\n", {}, "a COCO JSON file is for many images; leave out --pair"),
        (None, {}, "The table of pairs, .*pairs.csv, does not exist"),
    ],
)
def test_wrong_tables(tmp_path: Path, rows: str | None, options: dict[str, str], message: str) -> None:
    draw_folder(tmp_path)
    write_labelme(tmp_path / "masks" / "b.json", [TUMOUR], SIZE)
    (tmp_path / "masks" / "all.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    if rows is not None:
        (tmp_path / "pairs.csv").write_text(rows)
    with pytest.raises(UserError, match=message):
        run(tmp_path, "masks", pair=str(tmp_path / "pairs.csv"), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 3}, "--threshold and --instances are for mask pictures, but the masks are a COCO JSON file"),
        ({"instances": True}, "--threshold and --instances are for mask pictures"),
        ({"pair": "(.*)"}, "--pair matches one mask with one image, but the masks are a COCO JSON file"),
        ({"threshold": 3, "instances": True}, "exclude each other"),
    ],
)
def test_options_that_do_not_fit(images: Path, tmp_path: Path, options: dict[str, object], message: str) -> None:
    write_coco(tmp_path / "all.json", {"a.png": (SIZE, [coco_polygons(TUMOUR)])}, ["tumour"])
    with pytest.raises(UserError, match=message):
        run(tmp_path, "all.json", **options)


def test_medical_and_other_images(tmp_path: Path) -> None:
    gray = [picture(seed, channels=1) for seed in range(3)]
    (tmp_path / "images").mkdir()
    image = SimpleITK.GetImageFromArray(gray[0][None])
    image.SetSpacing((0.2, 0.1, 1))
    SimpleITK.WriteImage(image, str(tmp_path / "images" / "a.nii.gz"))
    np.save(tmp_path / "images" / "b.npy", gray[1])
    save(tmp_path / "images" / "c.jp2", gray[2])
    (tmp_path / "masks").mkdir()
    for name in ("a.mha", "b.nii"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(square(1)), str(tmp_path / "masks" / name))
    np.save(tmp_path / "masks" / "c.npy", square(1))
    summary = run(tmp_path, "masks")
    assert summary.channels == "gray"
    for name, pixels in zip("abc", gray, strict=True):
        np.testing.assert_array_equal(load(target_in(tmp_path).folder / "imagesTr" / f"{name}_0000.png"), pixels)
        np.testing.assert_array_equal(labels_of(tmp_path, name), square(1))
    assert read_cases(target_in(tmp_path).folder)["a"].pixel_size_um == pytest.approx((100, 200))


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_headers_that_place_masks_elsewhere(tmp_path: Path, ending: str) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, direction in (("a", (1, 0, 0, 1)), ("b", (-1, 0, 0, 1))):
        for folder, pixels in (("images", picture(ord(name), channels=1)), ("masks", square(1))):
            image = SimpleITK.GetImageFromArray(pixels)
            image.SetDirection(direction if folder == "masks" else (1, 0, 0, 1))
            SimpleITK.WriteImage(image, str(tmp_path / folder / f"{name}{ending}"))
    summary = run(tmp_path, "masks")
    assert [note for note in summary.notes if "by the header" in note] == [
        f"1 mask placed or turned otherwise than the image by the header (b{ending}): pixels are taken as stored; "
        "look at the contact sheet whether they fit"
    ]
    np.testing.assert_array_equal(labels_of(tmp_path, "b"), square(1))
