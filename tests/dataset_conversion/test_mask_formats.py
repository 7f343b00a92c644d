"""What is seen in a folder of masks, and what is not guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion import registry
from medt_pipeline.dataset_conversion.mask_formats import AUTO, FORMATS, FoundMasks, find_masks

LABELME = {"shapes": []}
COCO = {"images": [], "annotations": [], "categories": []}
FEATURES = {"type": "FeatureCollection", "features": []}
IMAGES = [Path("a.png"), Path("b.png")]


def make(root: Path, **contents: object) -> Path:
    """Files by name with `__` for dots and `_in_` for slashes; JSON where there is content."""
    for name, content in contents.items():
        file = root / name.replace("__", ".").replace("_in_", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("" if content is None else json.dumps(content))
    return root


def found_in(masks: Path, wanted: str = AUTO, shared: list[Path] | None = None) -> FoundMasks:
    return find_masks(masks, IMAGES, shared, wanted)


@pytest.mark.parametrize(
    ("contents", "format", "files"),
    [
        ({"a__png": None, "b__tif": None}, "pictures", ["a.png", "b.tif"]),
        ({"a__nii__gz": None, "notes__txt": None}, "pictures", ["a.nii.gz"]),
        ({"a__png": None, "classes__json": {"0": "none"}}, "pictures", ["a.png"]),
        ({"a_gland__png": None, "a_lumen__png": None}, "class-files", ["a_gland.png", "a_lumen.png"]),
        ({"gland_in_a__png": None, "lumen_in_a__png": None}, "class-folders", ["gland", "lumen"]),
        ({"a__json": LABELME, "b__json": LABELME}, "labelme", ["a.json", "b.json"]),
        ({"a__json": {"x": 1}, "b__json": LABELME}, "labelme", ["b.json"]),
        ({"a__geojson": FEATURES}, "geojson", ["a.geojson"]),
        ({"a__json": [], "b__json": FEATURES}, "geojson", ["a.json", "b.json"]),
        ({"a__XML": None}, "aperio", ["a.XML"]),
        ({"all__json": COCO}, "coco", ["all.json"]),
    ],
)
def test_formats(tmp_path: Path, contents: dict[str, object], format: str, files: list[str]) -> None:
    found = found_in(make(tmp_path, **contents))
    assert (found.format, [file.name for file in found.files]) == (format, files)


def test_a_coco_file_itself(tmp_path: Path) -> None:
    make(tmp_path, all__json=COCO, a__json=LABELME, other__json={})
    assert found_in(tmp_path / "all.json") == FoundMasks("coco", (tmp_path / "all.json",))
    with pytest.raises(UserError, match="a.json is for one picture; give the folder"):
        found_in(tmp_path / "a.json")
    with pytest.raises(UserError, match="There are no masks in .*other.json"):
        found_in(tmp_path / "other.json")


def test_a_shared_folder_tells_its_mask_pictures(tmp_path: Path) -> None:
    make(tmp_path, a__png=None, a__json=LABELME)
    assert found_in(tmp_path, shared=[]).format == "labelme"
    with pytest.raises(UserError, match=r"mask pictures \(a.png\) .*--mask-format"):
        found_in(tmp_path, shared=[tmp_path / "a.png"])


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"a__png": None, "a__json": LABELME}, r"holds mask pictures \(a.png\) and LabelMe JSON files \(a.json\); say"),
        ({"a__json": COCO, "b__json": {}}, r"holds several JSON files \(a.json, b.json\); give the one COCO file"),
        ({"x_in_a__png": None, "y_in_b__png": None}, r"holds folders \(x, y\), but no image has masks in two"),
        ({"notes__txt": None}, "There are no masks in"),
        ({"a__json": {"x": 1}}, "There are no masks in"),
    ],
)
def test_doubt_is_refused(tmp_path: Path, contents: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        found_in(make(tmp_path, **contents))


@pytest.mark.parametrize(
    ("contents", "wanted", "files"),
    [
        ({"a__png": None, "a__json": LABELME}, "labelme", ["a.json"]),
        ({"a__png": None, "a__json": LABELME}, "pictures", ["a.png"]),
        ({"a_1__png": None, "a_2__png": None}, "class-files", ["a_1.png", "a_2.png"]),
        ({"a_gland__png": None, "a_lumen__png": None}, "pictures", ["a_gland.png", "a_lumen.png"]),
        ({"x_in_a__png": None, "y_in_b__png": None}, "class-folders", ["x", "y"]),
        ({"a__png": None, "x_in_a__png": None}, "class-folders", ["x"]),
    ],
)
def test_the_user_decides(tmp_path: Path, contents: dict[str, object], wanted: str, files: list[str]) -> None:
    found = found_in(make(tmp_path, **contents), wanted)
    assert (found.format, [file.name for file in found.files]) == (wanted, files)


def test_what_is_wanted_must_be_there(tmp_path: Path) -> None:
    make(tmp_path, a__png=None)
    with pytest.raises(UserError, match=r"does not hold LabelMe JSON files, but mask pictures \(a.png\)"):
        found_in(tmp_path, "labelme")
    with pytest.raises(UserError, match="--mask-format must be one of auto, pictures"):
        found_in(tmp_path, "bitmaps")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, but a folder of masks was expected"):
        found_in(tmp_path / "file")


def test_the_command_offers_all_formats() -> None:
    (option,) = (one for one in registry.source("folder").options if one.flag == "--mask-format")
    assert option.choices == (AUTO, *FORMATS)
